"""Run every notebook, one test each: `pytest tests/test_notebooks.py -k sampling`.

Cells marked `#| slow` run with --slow, `#| data` where the folder of shared test data is, `#| gpu` where a CUDA device is.
A notebook runs in this process, as nbdev-test does it, so that PyTorch is imported once and not once a page."""
import atexit
import re
import sys
import nbdev.test
import pytest
from nbdev.config import get_config
from nbdev.test import test_nb as run_notebook
from checkout import pages, root
from conftest import has_gpu
from vidnb.core.testing import MissingData, shared_root

def flags_of(page): return {m for c in page.code for m in re.findall(r'^#\|\s*(\w+)\s*$', c, re.M)}

def wanted(page, slow):
    "Of the flags that mark cells to be left out, those whose cells run here"
    have = flags_of(page)
    if 'slow' in have and slow: yield 'slow'
    if 'data' in have and shared_root().is_dir(): yield 'data'
    if 'gpu' in have and has_gpu(): yield 'gpu'

def missing_data(stderr):
    "The message of the `MissingData` that ended a notebook, if one did"
    last = [l for l in stderr.splitlines() if l.strip() and not l[0].isspace()][-1:]
    m = re.match(r'(?:[\w.]*\.)?MissingData: (.*)', last[0]) if last else None
    return m[1] if m else None

@pytest.fixture(autouse=True)
def same_start(monkeypatch):
    "What one notebook sets must not help or hurt the next"
    import matplotlib as mpl
    import numpy as np
    monkeypatch.chdir(root)
    before, state = mpl.rcParams.copy(), np.random.get_state()
    yield
    np.random.set_state(state)
    mpl.rcParams.update(before)

@pytest.fixture
def shells(monkeypatch):
    "What notebooks run in; nbdev leaves their threads, and with those all that a notebook has made, until the process ends"
    made = []
    class Kept(nbdev.test.CaptureShell):
        def __init__(self, *args, **kwargs): super().__init__(*args, **kwargs); made.append(self)
    monkeypatch.setattr(nbdev.test, 'CaptureShell', Kept)
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])
    yield made
    for k in made:
        k.close()
        if not k._thread.is_alive(): k.loop.close()
        atexit.unregister(k.atexit_operations)

@pytest.mark.parametrize('page', pages(), ids=str)
def test_notebook(page, request, capfd, shells):
    cfg = get_config(root)
    force = list(wanted(page, request.config.getoption('--slow')))
    passed, _ = run_notebook(page.path, skip_flags=cfg.tst_flags.split(), force_flags=force, basepath=cfg.config_path, cell_timeout=cfg.cell_timeout)
    if passed: return
    err = capfd.readouterr().err
    if msg := missing_data(err): raise MissingData(msg)
    pytest.fail(f'{page}\n{err[-6000:]}', pytrace=False)
