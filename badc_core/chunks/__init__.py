"""How recordings are cut into chunks, and the manifests that say so."""
