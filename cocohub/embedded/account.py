"""The operating system's account that the servers run as, and what it must be able to reach.

An ordinary user runs them as herself. PostgreSQL refuses to run as root, so for root both servers run as
somebody else: who owns the data already, else who owns the home folder (`sudo manage.py` in a user's
checkout), else `cocohub` if there is such an account, else `nobody`. No account is made.
"""

import hashlib
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import pwd

logger = logging.getLogger(__name__)

SUBSTITUTES_FOR_ROOT = ("cocohub", "nobody")


@dataclass(frozen=True)
class Account:
    """A user of the operating system."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """Its name, or its number where the system knows no name (a container running as a bare number)."""
        known = _passwd(self.uid)
        return known.pw_name if known else f"uid {self.uid}"

    @property
    def process_arguments(self) -> dict[str, Any]:
        """Arguments for subprocess which make a child run as this account."""
        if os.geteuid() == self.uid:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(home: Path, data: Path) -> Account:
    """The account which runs the server with this data folder."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.is_dir() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    existing = next(folder for folder in (home, *home.parents) if folder.is_dir())
    # Only accounts with a name: initdb refuses a bare number.
    if (uid := existing.stat().st_uid) != 0 and (known := _passwd(uid)):
        return Account(uid, known.pw_gid)
    for name in SUBSTITUTES_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise LookupError(f"it does not run as root, and there is no account {' or '.join(SUBSTITUTES_FOR_ROOT)}")


def make_folder(folder: Path) -> None:
    """Create a folder with its parents; what root creates belongs to the owner of the folder around it."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    inherit_owner(folder)


def inherit_owner(path: Path) -> None:
    """As root: give `path` to the owner of its folder, who can then still work there without root."""
    if os.geteuid() == 0:
        around = path.parent.stat()
        os.chown(path, around.st_uid, around.st_gid)


def make_private(folder: Path, account: Account) -> None:
    """Create or correct a data folder which `account` owns and nobody else may read (PostgreSQL insists)."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid == 0:  # new, or copied back by root from a backup
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(0o700)


def socket_folder(home: Path, account: Account) -> Path:
    """The folder for the sockets of a home: short, whatever the length of home."""
    # /tmp rather than TMPDIR: the same for every process of a machine, short, and open to root's substitute.
    base = Path("/tmp") if os.access("/tmp", os.W_OK | os.X_OK) else Path(tempfile.gettempdir())  # noqa: S108
    key = hashlib.sha256(b"%d:%s" % (account.uid, os.fsencode(home))).hexdigest()[:16]
    return base / f"cocohub-{key}"


def is_private(folder: Path, account: Account) -> bool:
    """Whether only the account (and root) can have put a socket here."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    closed = not stat.S_IMODE(found.st_mode) & 0o077
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and closed


def let_reach(account: Account, folders: Iterable[Path]) -> None:
    """When root starts a server as somebody else: let that account pass to these folders.

    Adds the right to pass through a parent folder (never the right to list or read it) where it is missing,
    as for a home below /root, and says so in the log.
    """
    if os.geteuid() != 0 or account.uid == 0:
        return
    for folder in folders:
        for parent in reversed(folder.resolve().parents):
            if _grant(parent, account, stat.S_IXOTH):
                mode = stat.S_IMODE(parent.stat().st_mode)
                logger.warning(
                    "The embedded servers run as %s, not as root; to let them pass, %s now has mode %o.",
                    account.name,
                    parent,
                    mode,
                )


def let_read(account: Account, tree: Path) -> None:
    """When root starts a server as somebody else: let that account read and run an installed package.

    Does something only where the package was installed with a closed umask.
    """
    if os.geteuid() != 0 or account.uid == 0:
        return
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        executable = stat.S_ISDIR(mode) or mode & stat.S_IXUSR
        _grant(path, account, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def _grant(path: Path, account: Account, rights: int) -> bool:
    """Add `rights`, given as bits for "others", to the class this account is in. True if any was missing."""
    found = path.stat()
    if found.st_uid == account.uid:
        rights <<= 6
    elif found.st_gid == account.gid:
        rights <<= 3
    if found.st_mode & rights == rights:
        return False
    path.chmod(stat.S_IMODE(found.st_mode) | rights)
    return True


def _passwd(uid: int) -> "pwd.struct_passwd | None":
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None
