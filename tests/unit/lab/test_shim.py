import json

import pytest

from lab.engine import shim

PROCESS = {
    "args": ["/sbin/init"],
    "capabilities": {
        "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"],
        "effective": ["CAP_SYS_RESOURCE"],
    },
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1048576, "soft": 1048576}],
    "oomScoreAdj": -999,
}
PERMITTED = {
    "args": ["/sbin/init"],
    "capabilities": {"bounding": ["CAP_CHOWN"], "effective": []},
}


def test_only_what_needs_the_capability_is_taken_out():
    assert shim.permit(PROCESS) == PERMITTED


@pytest.mark.parametrize("score", [0, 500])
def test_a_score_that_may_be_set_stays(score):
    assert shim.permit({"oomScoreAdj": score}) == {"oomScoreAdj": score}


@pytest.mark.parametrize("flag", [["--bundle", "{}"], ["--bundle={}"], ["-b", "{}"]])
def test_create_rewrites_the_bundle(tmp_path, flag):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"ociVersion": "1", "process": PROCESS}))
    arguments = [word.format(tmp_path) for word in flag]
    shim.prepare(["--root", "/r", "create", *arguments, "--pid-file", "p", "an-id"])
    assert json.loads(config.read_text()) == {"ociVersion": "1", "process": PERMITTED}


def test_exec_rewrites_the_process_file_and_keeps_its_mode(tmp_path):
    process = tmp_path / "process.json"
    process.write_text(json.dumps(PROCESS))
    process.chmod(0o600)
    shim.prepare(["--log", "create", "exec", "--process", str(process), "--detach", "an-id"][2:])
    assert json.loads(process.read_text()) == PERMITTED
    assert process.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "arguments", [["state", "an-id"], ["delete", "--force", "an-id"], ["exec", "an-id", "ls"]]
)
def test_other_commands_read_no_file(arguments):
    shim.prepare(arguments)
