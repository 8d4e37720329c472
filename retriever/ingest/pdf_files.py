"""PDF files as text, page after page."""

from __future__ import annotations

import io
from pathlib import Path

from retriever.errors import MissingExtraError, SourceError

_PAGE_BREAK = "\n\n"


def require_pdf_reader() -> None:
    """Check that the PDF library is there.

    :raises MissingExtraError: if not, with the line that installs it.
    """
    try:
        import pypdf  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "reading PDF needs pypdf; install it with: pip install 'two-stage-retriever[ingest]'"
        ) from error


def read_pdf(content: bytes, path: Path) -> tuple[str, str, list[int]]:
    """Take the text layer out of a PDF.

    :param content: the file's bytes.
    :param path: named in errors.
    :return: title ("" where the file has none), text, and where each page starts in it, in characters.
    :raises MissingExtraError: if pypdf is not installed.
    :raises SourceError: if the file is damaged, or closed by a password.
    """
    require_pdf_reader()
    from pypdf import PasswordType, PdfReader

    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise SourceError(f"{path} is protected by a password; save it without one")
        pages = [page.extract_text().strip() for page in reader.pages]
        title = str((reader.metadata.title if reader.metadata else None) or "").strip()
    except (SourceError, MemoryError):
        raise
    except ImportError as error:
        raise SourceError(
            f"{path} is encrypted with AES; pip install cryptography, or save it without encryption"
        ) from error
    except Exception as error:
        # A damaged file makes pypdf raise anything from KeyError to RecursionError.
        raise SourceError(
            f"{path} is no PDF that can be read ({type(error).__name__}: {error}); "
            "open it in a PDF viewer and save it anew"
        ) from error
    starts, position = [], 0
    for page in pages:
        starts.append(position)
        position += len(page) + len(_PAGE_BREAK)
    # Half of a character outside the basic plane is common in broken font tables, and no file can hold it.
    clean = _PAGE_BREAK.join(pages).encode("utf-8", "replace").decode()
    return title.encode("utf-8", "replace").decode(), clean.replace("\0", " "), starts
