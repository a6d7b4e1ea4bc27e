"""The kernel's part: even Python code of the attacker's choice stays inside, once the walls are up."""

import subprocess
import sys

SETUP = """
import ctypes, os, signal, socket, subprocess, sys
from pathlib import Path
from shared.sandbox import landlock
own, given, canary = map(Path, sys.argv[1:])
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
landlock.restrict(read=[given], own=[own, Path("/nowhere")])
"""


def inside(world, code, before="", given=""):
    own = world.root / "own"
    own.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", before + SETUP + code, str(own), str(world.tables["customers"]), str(world.canary)],
        input=given,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_inputs_are_read_and_the_own_folder_is_written(world):
    code = "given.read_bytes(); (own / 'x').write_text('1'); (own / 'y').mkdir(); (own / 'x').unlink(); print('done')"
    assert inside(world, code).stdout == "done\n"


FORBIDDEN = [
    "canary.read_text()",
    "list(canary.parent.iterdir())",
    "given.write_bytes(b'')",
    "os.truncate(given, 0)",
    "given.unlink()",
    "given.rename(own / 'x')",
    "os.replace(own / 'mine', canary)",
    "os.link(canary, own / 'x')",
    "(own / 'x').symlink_to(canary)",
    "os.mkfifo(own / 'x')",
    "(canary.parent / 'x').write_text('1')",
    "subprocess.run(['/bin/true'])",
    "Path('/proc/1/environ').read_bytes()",
    "socket.create_connection(listener.getsockname())",
    "socket.socket().bind(('127.0.0.1', 0))",
    "os.kill(os.getppid(), 0)",
]
TRY_ALL = """
for code in sys.stdin.read().splitlines():
    try:
        exec(code)
    except OSError as error:
        print(error.errno in {1, 13, 18}, code)  # EPERM, EACCES, EXDEV
    else:
        print("done", code)
"""


def test_everything_else_is_forbidden(world):
    (world.root / "own").mkdir()
    (world.root / "own" / "mine").write_text("x")
    result = inside(world, TRY_ALL, given="\n".join(FORBIDDEN))
    assert result.stdout.splitlines() == [f"True {code}" for code in FORBIDDEN]


def test_the_walls_do_not_go_up_around_running_threads(world):
    start = "import threading; stop = threading.Event(); threading.Thread(target=stop.wait, daemon=True).start()\n"
    result = inside(world, "", before=start)
    assert "before the first thread starts" in result.stderr
