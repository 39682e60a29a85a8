"The rules of conftest.py, tried on tests written for the purpose."
import os, shutil, subprocess, sys
from pathlib import Path
import pytest

written = '''
import pytest
from vidnb.core.testing import shared_data, golden

@pytest.fixture(scope='module')
def video(): return shared_data('videos', 'absent.mp4')

def test_direct(): shared_data('videos', 'absent.mp4')
def test_fixture(video): pass
def test_fixture_again(video): pass
def test_there(): assert shared_data('here.txt').read_text() == 'x'
@pytest.mark.slow
def test_slow(): pass
'''
collected = '''
from vidnb.core.testing import golden
cases = golden('Z_absent')
def test_never(): pass
'''

@pytest.fixture
def run(tmp_path):
    shutil.copy(Path(__file__).with_name('conftest.py'), tmp_path)
    (tmp_path/'test_written.py').write_text(written)
    (tmp_path/'test_collected.py').write_text(collected)
    (tmp_path/'shared'/'data').mkdir(parents=True)
    (tmp_path/'shared'/'golden').mkdir()
    (tmp_path/'shared'/'data'/'here.txt').write_text('x')
    def _run(*args, **env):
        clean = {k:v for k,v in os.environ.items() if k not in ('CI', 'VIDNB_SHARED', 'PYTEST_ADDOPTS')}
        res = subprocess.run([sys.executable, '-m', 'pytest', '-ra', '-p', 'no:cacheprovider', '--strict-markers', *args, '.'],
                             cwd=tmp_path, env={**clean, **env}, capture_output=True, text=True)
        return res.returncode, res.stdout
    return _run

def test_missing_data_is_a_skip_that_names_the_file(run):
    rc, out = run('-q')
    assert rc == 0, out
    assert '1 passed, 5 skipped' in out
    assert 'data/videos/absent.mp4' in out and 'golden/Z_absent.json' in out and 'run with --slow' in out

def test_missing_data_fails_in_ci_where_the_folder_is(run):
    rc, out = run('-q', CI='1')
    assert rc != 0 and 'golden/Z_absent.json' in out, out
    rc, out = run('-q', '--ignore', 'test_collected.py', CI='1')
    assert '1 failed, 1 passed, 1 skipped, 2 errors' in out, out

def test_slow_runs_on_request(run):
    rc, out = run('-q', '--slow')
    assert rc == 0 and '2 passed, 4 skipped' in out, out

left = """
import os, random, signal, sys
import cv2, torch
import numpy as np
import pytest
drawn = []
def seen(): return signal.getsignal(signal.SIGINT), os.environ.get('LEFT'), os.environ['HOME'], os.getcwd(), 'left' in sys.path, cv2.getNumThreads(), torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
before = seen()

@pytest.mark.parametrize('i', range(2))
def test_it(i):
    assert seen() == before
    drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert len(set(drawn)) == 1, drawn
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    os.environ.update(LEFT='x', HOME='/left')
    os.chdir('/')
    sys.path.insert(0, 'left')
    cv2.setNumThreads(before[5] + 1); torch.set_num_threads(before[6] + 1)
    torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)
    assert all(a != b for a,b in zip(seen(), before))
"""

def test_what_a_test_leaves_is_taken_back(run, tmp_path):
    for f in tmp_path.glob('test_*.py'): f.unlink()
    (tmp_path/'test_left.py').write_text(left)
    rc, out = run('-q')
    assert rc == 0 and '2 passed' in out, out
