"""Has a web interface that is open load the asset graph anew.

Only one at the usual address, and of the same Dagster home, is found; in others *Reload
definitions* has to be pressed.
"""

import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import Any

from badc_core.jobs.recording_tables import WEB_HOST, WEB_PORT

_LOOK_S, _RELOAD_S = 2, 120
_OF_HOME = (
    "{ instance { info } workspaceOrError { ... on Workspace { locationEntries { name } } } }"
)
_RELOAD = (
    "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name)"
    " { __typename } }"
)
_LOCATION = "badc_dagster"


def reload_web_interface(home: Path, port: int = WEB_PORT) -> bool:
    """Returns whether a web interface now shows the datasets connected in a Dagster home.

    Args:
        home: the Dagster home.
        port: of this machine, on which the web interface listens.
    """
    try:
        found = _ask(port, _LOOK_S, _OF_HOME)
        names = [one["name"] for one in found["workspaceOrError"]["locationEntries"]]
        name = next((one for one in names if one.startswith(_LOCATION)), None)
        told = [line.strip() for line in found["instance"]["info"].splitlines()]
        if name is None or f"base_dir: {home}" not in told:
            return False
        _ask(port, _RELOAD_S, _RELOAD, name=name)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return False  # nothing listens there, or something else does
    return True


def _ask(port: int, timeout_s: float, query: str, **variables: str) -> Any:
    """Returns the data of a GraphQL query."""
    with closing(http.client.HTTPConnection(WEB_HOST, port, timeout=timeout_s)) as connection:
        body = json.dumps({"query": query, "variables": variables})
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())["data"]
