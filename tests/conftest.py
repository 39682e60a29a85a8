"""Options and rules for all tests.

A test (or a fixture, or a module that pytest collects) that needs shared test data calls `vidnb.core.testing.shared_data` or `golden`;
these raise `MissingData` when the file is absent. That is a skip which names the file. It is a failure in CI on a machine that has the
folder, because there a missing file is a mistake."""
import os
import random
import signal
import sys
import pytest

# a shell that starts tests in the background has them ignore Ctrl-C, and what they start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault('MPLBACKEND', 'Agg')

from vidnb.core.testing import MissingData, shared_root

def pytest_addoption(parser):
    parser.addoption('--slow', action='store_true', help='also run tests marked slow, and the slow cells of notebooks')

def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: takes more than a few seconds; run with --slow')
    config.addinivalue_line('markers', 'gpu: needs a CUDA device')

def pytest_collection_modifyitems(config, items):
    for item in items:
        if 'slow' in item.keywords and not config.getoption('--slow'): item.add_marker(pytest.mark.skip(reason='slow: run with --slow'))
        if 'gpu' in item.keywords and not has_gpu(): item.add_marker(pytest.mark.skip(reason='needs a CUDA device'))

def has_gpu():
    import torch
    return torch.cuda.is_available()

def data_expected():
    "Should the shared test data be complete on this machine?"
    return bool(os.environ.get('CI')) and ('VIDNB_SHARED' in os.environ or shared_root().is_dir())

def skip_missing(step):
    try: return (yield)
    except MissingData as e:
        if data_expected(): raise
        pytest.skip(str(e))

@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    same_chance()  # before the fixtures that several tests share, too
    return (yield from skip_missing(item))

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item): return (yield from skip_missing(item))

@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    rep = yield
    info = getattr(getattr(rep, 'call', None), 'excinfo', None)
    if info is not None and isinstance(info.value, MissingData) and not data_expected():
        rep.outcome, rep.longrepr = 'skipped', (str(collector.path), 0, f'Skipped: {info.value}')
    return rep

@pytest.fixture(autouse=True)
def closed_figures():
    "Close the figures that a test drew"
    yield
    if 'matplotlib.pyplot' in sys.modules: sys.modules['matplotlib.pyplot'].close('all')

def same_chance():
    "Start every global generator of random numbers anew"
    random.seed(0)
    if 'numpy' in sys.modules: sys.modules['numpy'].random.seed(0)
    if 'torch' in sys.modules: sys.modules['torch'].manual_seed(0)

class Held:
    "What all tests of a process share, as it is now; `back` brings it back"
    def __init__(self):
        self.env, self.cwd, self.path = {k:v for k,v in os.environ.items() if k != 'PYTEST_CURRENT_TEST'}, os.getcwd(), list(sys.path)
        self.signals = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        self.cv2, self.torch = sys.modules.get('cv2'), sys.modules.get('torch')
        if self.cv2: self.pool = self.cv2.getNumThreads()
        if self.torch: self.threads, self.dtype, self.grad = self.torch.get_num_threads(), self.torch.get_default_dtype(), self.torch.is_grad_enabled()

    def back(self):
        for k in {*os.environ} - {*self.env, 'PYTEST_CURRENT_TEST'}: del os.environ[k]
        os.environ.update(self.env)
        os.chdir(self.cwd)
        sys.path[:] = self.path
        for s,h in self.signals.items():
            if h is not None and signal.getsignal(s) != h: signal.signal(s, h)
        if self.cv2 and self.cv2.getNumThreads() != self.pool: self.cv2.setNumThreads(self.pool)
        if self.torch:
            if self.torch.get_num_threads() != self.threads: self.torch.set_num_threads(self.threads)
            self.torch.set_default_dtype(self.dtype); self.torch.set_grad_enabled(self.grad)

@pytest.fixture(autouse=True)
def as_before():
    """What one test leaves in the process must not help or hurt the next, in whatever order a worker runs them: handlers of signals (that of
    nbdev, which a notebook installs, ends the process at Ctrl-C), the environment, the folder, threads, random numbers"""
    held = Held()
    same_chance()
    yield
    held.back()
