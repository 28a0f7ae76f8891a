"""The manifest that the original documented: the type of every field, and what its stages leave."""

from typing import Any

NUMBER = (int, float)
STAGE_FIELDS = {
    "job_id": str,
    "user_id": int,
    "stage_number": int,
    "stage_name": str,
    "job_env_file": str,
    "status": str,
    "started_at": str,
    "completed_at": str,
    "duration_seconds": NUMBER,
    "input_files": list,
    "outputs": dict,
    "metadata": dict,
}
MANIFEST_FIELDS = {
    "version": str,
    "created_at": str,
    "updated_at": str,
    "job_id": str,
    "user_id": int,
    "job_env_file": str,
    "input": dict,
    "output_dir": str,
    "movie_dir": str,
    "stages": dict,
    "pipeline": dict,
    "timing": dict,
}
FILE_FIELDS = {"path": str, "exists": bool, "size_bytes": int, "description": str}
STAGES = {
    "demux": (["audio/audio.wav", "audio/metadata.json"], ["sample_rate", "duration_seconds"]),
    "tmdb": (["metadata/tmdb_data.json"], ["tmdb_id", "title", "cast_count"]),
    "pre_ner": (["entities/pre_ner.json", "initial_prompt.txt"], ["entity_count"]),
    "silero_vad": (["vad/silero_segments.json"], ["segment_count", "speech_percentage"]),
    "pyannote_vad": (["vad/pyannote_segments.json"], ["segment_count", "refined_segments"]),
    "diarization": (["diarization/speaker_segments.json"], ["speaker_count", "model"]),
    "asr": (["transcription/transcript.json"], ["word_count", "model", "language"]),
    "post_ner": (["entities/post_ner.json"], ["corrections_made", "entity_count"]),
    "subtitle_gen": (["subtitles/subtitles.srt"], ["subtitle_count", "format"]),
    "mux": (["final_output.mp4"], ["subtitle_track", "codec"]),
}


def assert_fields(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Makes sure that every documented field is there, and of its type."""
    kinds = {name: isinstance(found[name], kind) for name, kind in expected.items()}
    assert kinds == dict.fromkeys(expected, True), found
