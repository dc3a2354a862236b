"""One process, one device: chosen by hand, or the first that nobody holds."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audit_assets.errors import InputError
from audit_assets.models import devices

HOLD = """
import sys, time
from pathlib import Path
from audit_assets.models.devices import free_device
names, folder = sys.argv[1].split(","), Path(sys.argv[2])
print(free_device(names, folder), free_device(names, folder), flush=True)
time.sleep(60)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, "cuda:0,cuda:1", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def taken(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.long
def test_each_process_takes_a_device_of_its_own_and_a_killed_one_gives_it_back(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(2)]
    try:
        assert sorted(taken(p) for p in processes) == ["cuda:0 cuda:0", "cuda:1 cuda:1"]
        third = start(tmp_path)
        processes.append(third)
        with pytest.raises(subprocess.TimeoutExpired):  # it waits: both are taken
            third.wait(timeout=2)
        processes[0].send_signal(signal.SIGKILL)
        assert taken(third) in ("cuda:0 cuda:0", "cuda:1 cuda:1")
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def test_a_device_can_be_chosen_and_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DEVICE", "cpu")
    assert devices.best_device() == "cpu"
    for wrong in ("cuda:99", "no such thing"):
        monkeypatch.setenv("AUDIT_DEVICE", wrong)
        with pytest.raises(InputError, match=f"AUDIT_DEVICE: '{wrong}' is no device of this machine"):
            devices.best_device()
