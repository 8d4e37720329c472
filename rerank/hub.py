"""From a name to a model's folder: one on disk, or one that the Hugging Face hub has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank.errors import ModelNotFoundError


def model_folder(
    path_or_hub_id: str | Path, files: Sequence[str], *, called: str, owner: str | None = None
) -> Path:
    """Return the local folder of a model, fetching its files from the hub where it is a hub id.

    :param path_or_hub_id: a folder, or "owner/name" on the hub.
    :param files: patterns of the files wanted.
    :param called: what such a model is called in an error.
    :param owner: whose model a name without an owner is; None takes no such names.
    :return: the folder.
    :raises ModelNotFoundError: if there is neither a folder nor a hub model of this name.
    """
    folder, name = Path(path_or_hub_id), str(path_or_hub_id)
    if name and folder.is_dir():
        return folder
    if owner is not None and name and "/" not in name:
        name = f"{owner}/{name}"
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelNotFoundError(f"no {called} at {name!r}: give an existing folder or a hub id 'owner/name'")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        why = str(error).partition("\n")[0]
        raise ModelNotFoundError(
            f"no {called} {name!r}: there is no such folder, and the hub did not give it ({why}); "
            "check the name and the connection, or download the folder and give its path"
        ) from error
