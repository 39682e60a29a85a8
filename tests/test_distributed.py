"""Two real processes, started by `torchrun` (gloo on the CPU), against one: the law, evaluation, and one of them killed. The programs are in together.py."""
import os, subprocess, sys
from pathlib import Path
import pytest
import torch
from vidnb.core.testing import test_same as same
import together

def torchrun(root, *args):
    program = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', str(Path(together.__file__)), str(root), *args]
    return subprocess.run(program, capture_output=True, text=True, timeout=400, env=dict(os.environ, PYTHONWARNINGS='ignore', OMP_NUM_THREADS='1'))

@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('together')
    together.make_data(root)
    return root

@pytest.fixture(scope='module')
def killed(root): return torchrun(root, 'killed')

@pytest.fixture(scope='module')
def two(root, killed):
    p = torchrun(root)
    assert p.returncode == 0, p.stdout[-1000:] + p.stderr[-6000:]
    return torch.load(root/'results.pt', weights_only=True)

def test_one_that_is_killed_ends_the_other(killed):
    "Within the time limit, and with words"
    assert killed.returncode != 0
    assert 'Signal 9 (SIGKILL) received' in killed.stderr and 'rank      : 1' in killed.stderr, killed.stderr[-3000:]

@pytest.mark.parametrize('how', ['law', 'accumulated', 'left_over'])
def test_two_halves_are_the_whole(root, two, how):
    "Gradients of the first step to 1e-6, losses, table and weights after two epochs to 1e-5"
    one = getattr(together, how)(root)
    same(two[how]['grads'], one['grads'], eps=1e-6)
    for k in ('losses', 'rows', 'weights'): same(two[how][k], one[k], eps=1e-5)
    assert one['losses'].std() > 1e-4

def test_evaluation_is_that_of_one_process(root, two):
    "To the last bit: 7 samples in batches of 2, none counted twice"
    one = together.evaluated(root)
    for k in ('vals', 'preds', 'targs', 'inputs'): same(two['evaluated'][k], one[k])
    same(len(one['targs']), 7)
