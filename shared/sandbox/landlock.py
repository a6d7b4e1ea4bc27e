"""Landlock by ctypes: the kernel itself forbids a process every file, port and signal that is not named here.

References:
    Linux, Documentation/userspace-api/landlock.rst, and include/uapi/linux/landlock.h for every number below.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

# Landlock came after the numbers of system calls were unified, so these hold on every architecture but alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR, _MAKE_REG = 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
# Every right a version knows is taken away; only what a rule gives comes back. Versions: 2 REFER, 3 TRUNCATE, 5 IOCTL.
_RIGHTS_BY_ABI = ((5, (1 << 16) - 1), (3, (1 << 15) - 1), (2, (1 << 14) - 1), (1, (1 << 13) - 1))
_TCP_BIND_AND_CONNECT = 0b11  # from version 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # from version 6
_RULESET_BYTES_BY_ABI = ((6, 24), (4, 16), (1, 8))

_READ = _READ_FILE | _READ_DIR
# Plain files and folders only: no links, sockets, pipes or devices, and nothing that can be executed.
_OWN = _READ | _WRITE_FILE | _TRUNCATE | _MAKE_REG | _MAKE_DIR | _REMOVE_FILE | _REMOVE_DIR
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def available() -> int:
    """The version of Landlock that the running kernel offers, or 0 where it has none or it is switched off."""
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    return max(int(version), 0)


def restrict(*, read: Iterable[Path], own: Iterable[Path]) -> None:
    """Leave this process the files and folders of `read` to read and those of `own` to write, for ever.

    Paths that do not exist are skipped. Only threads started later inherit the restriction, so this is called
    while there is one thread.

    Raises OSError where the kernel has no Landlock or refuses the rules, RuntimeError where other threads are running
    already, which would stay free.
    """
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 -- names are all that is needed
        raise RuntimeError("the box must close before the first thread starts")
    abi = available()
    files = _first(_RIGHTS_BY_ABI, abi)
    ruleset = _Ruleset(files, _TCP_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS)
    size = _first(_RULESET_BYTES_BY_ABI, abi)  # a version reads only the fields that it knows
    handle = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for paths, rights in ((read, _READ), (own, _OWN)):
            for path in paths:
                _allow(handle, path, rights & files)
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs was refused")
        _call(_RESTRICT_SELF, ctypes.c_int(handle), ctypes.c_uint32(0))
    finally:
        os.close(handle)


def _allow(handle: int, path: Path, rights: int) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            rights &= _ON_A_FILE
        rule = _PathBeneath(rights, target)
        _call(_ADD_RULE, ctypes.c_int(handle), _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(target)


def _first(steps: tuple[tuple[int, int], ...], abi: int) -> int:
    for since, value in steps:
        if abi >= since:
            return value
    raise OSError("this kernel has no Landlock")


def _call(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        problem = ctypes.get_errno()
        raise OSError(problem, f"Landlock refused call {number}: {os.strerror(problem)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
