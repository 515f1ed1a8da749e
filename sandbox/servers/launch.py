"""The last step before a child process becomes its program: drop root if asked to, tie its life to ours, exec.

Run as a script, `python -I launch.py <death signal> <uid or -> <parent pid> <program> [arguments…]`, and not as a
`preexec_fn`, because that is unsafe in a process with threads. Standard library only, so that it starts in
milliseconds. Linux only.

PostgreSQL refuses to run as root. Then the child takes an unprivileged uid but keeps one capability,
CAP_DAC_OVERRIDE, as an *ambient* one, so that it can still reach binaries and data below a folder such as /root,
which is closed to others.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
LINUX_CAPABILITY_VERSION_3 = 0x20080522
EXIT_CANNOT_LAUNCH = 126

libc = ctypes.CDLL(None, use_errno=True)


def main(death_signal: str, uid: str, parent_pid: str, *command: str) -> None:
    try:
        if uid != "-":
            drop_root(int(uid))
        # After the change of uid: that clears the setting.
        call(libc.prctl, PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent_pid):
            sys.exit(EXIT_CANNOT_LAUNCH)  # The parent died before it could be tied to us.
        os.execv(command[0], command)
    except OSError as error:
        hint = "" if uid == "-" else " (as root; an ordinary user needs no such change of user)"
        sys.stderr.write(f"cannot launch {command[0]}: {error}{hint}\n")
        sys.exit(EXIT_CANNOT_LAUNCH)


def drop_root(uid: int) -> None:
    """Become `uid` (and the group of the same number), with CAP_DAC_OVERRIDE as the only capability left."""
    call(libc.prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0)
    # So that access(2), with which PostgreSQL looks at its own binaries, minds the capability too. Where CAP_SETPCAP is
    # missing, those must lie in folders open to everybody.
    libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    keep = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    # Two blocks of 32 capabilities each: effective, permitted, inheritable.
    data = (ctypes.c_uint32 * 6)(keep, keep, keep, 0, 0, 0)
    call(libc.capset, header, data)
    call(libc.prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def call(function: "ctypes._NamedFuncPointer", *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.__name__}: {os.strerror(number)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
