"""Runs that are stopped and go on, with real processes: signals, SIGKILL in the middle of a save, a limit on the size of files.

The law: losses, table and weights of a run that was interrupted anywhere are those of the run that was not, bit for bit on a CPU."""
import json, os, random, signal, subprocess, sys, time
import numpy as np
import pytest
import torch
from fastai.torch_core import set_seed
from vidnb.core.testing import *
from vidnb.learn.run_files import checkpoints, newest_run, read_run
from vidnb.video.synth import synth_actions

program = '''
import json, os, resource, signal, sys
from pathlib import Path
import torch
from fastai.callback.core import Callback
from fastai.torch_core import set_seed
from fastai.optimizer import SGD
from vidnb.learn.learner import plain_progress, video_learner
import vidnb.learn.resume
from vidnb.learn.run_files import storable
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.models.recognizers import tiny3d
torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs in its background ignore it
a = json.loads(sys.argv[1])
os.umask(0o22)

class Strike(Callback):
    run_valid = False
    def after_pred(self):
        if self.train_iter != a['at']: return
        if a['how'] == 'limit': resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        else: os.kill(os.getpid(), getattr(signal, a['how']))

def half_a_save(doc, f):
    "Half of the bytes reach the file, and the process is gone"
    if doc['steps'] < a['at']: return save(doc, f)
    import io
    save(doc, b := io.BytesIO())
    f.write(b.getvalue()[:len(b.getvalue())//2]); f.flush()
    os.kill(os.getpid(), signal.SIGKILL)

def not_renamed(src, dst):
    if Path(dst).name >= f"checkpoint_{a['at']:08}": os.kill(os.getpid(), signal.SIGKILL)
    replace(src, dst)

set_seed(7)
dls = VideoDataLoaders.from_folder(a['data'], clip_len=4, frame_interval=2, size=24, bs=4, num_workers=a['workers'], device='cpu')
learn = video_learner(dls, tiny3d, path=a['folder'], arch_kw=dict(base_channels=8), cbs=Strike() if a['how'] in ('SIGINT', 'SIGTERM', 'SIGKILL', 'limit') else None)
plain_progress(learn, out=lambda s: None)
if a['how'] == 'half': save, torch.save = torch.save, half_a_save
if a['how'] == 'rename': replace, os.replace = os.replace, not_renamed
learn.fit_resumable(a['folder'], 3, 5e-3, every=a['every'])
rec = learn.recorder
torch.save(storable(dict(losses=torch.stack(rec.losses), lrs=torch.tensor(rec.lrs, dtype=torch.float64), values=torch.tensor([list(v) for v in rec.values]), model=dict(learn.model.state_dict()))), a['folder'] + '/result.pt')
'''

@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return synth_actions(tmp_path_factory.mktemp('clips'), n_per_class=6, n_valid=2, classes=('left', 'right'), size=32, n_frames=16)

@pytest.fixture(scope='module')
def run(data):
    def go(folder, how='', at=-1, workers=0, every=None, check=None):
        args = json.dumps(dict(data=str(data), folder=str(folder), how=how, at=at, workers=workers, every=every))
        folder.mkdir(exist_ok=True)
        p = subprocess.run([sys.executable, '-W', 'ignore::DeprecationWarning', '-c', program, args], capture_output=True, text=True, timeout=600)
        if check is not None: assert p.returncode == check, p.stderr[-3000:]
        return p
    return go

@pytest.fixture(scope='module')
def whole(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    run(folder, check=0)
    return torch.load(folder/'result.pt', weights_only=True)

def same_as_whole(folder, whole):
    test_same(torch.load(folder/'result.pt', weights_only=True), whole)

def test_the_run(whole):
    test_same((len(whole['losses']), tuple(whole['values'].shape)), (9, (3, 2)))

def test_two_workers_in_one_go(run, whole, tmp_path):
    run(tmp_path, workers=2, check=0)
    same_as_whole(tmp_path, whole)

@pytest.mark.parametrize('how,at,workers,code', [('SIGINT', 1, 0, -2), ('SIGTERM', 4, 2, 143), ('SIGINT', 5, 2, -2), ('SIGTERM', 8, 0, 143)])
def test_stopped_by_a_signal(run, whole, tmp_path, how, at, workers, code):
    p = run(tmp_path, how, at, workers)
    assert p.returncode in (code, 130 if how == 'SIGINT' else code), p.stderr[-3000:]
    assert 'Traceback' not in p.stderr and 'the same call goes on from it' in p.stdout, p.stderr[-3000:]
    assert 'has the state, and the same call goes on from it' in p.stdout
    test_same(newest_run(tmp_path)[1]['steps'], at+1)
    run(tmp_path, workers=workers, check=0)
    same_as_whole(tmp_path, whole)

@pytest.mark.parametrize('how,at,left', [('half', 6, 4), ('rename', 6, 4), ('SIGKILL', 7, 6)])
def test_killed_in_the_middle_of_a_save(run, whole, tmp_path, how, at, left):
    run(tmp_path, how, at, every=2, check=-signal.SIGKILL)
    stray = [f for f in tmp_path.glob('.checkpoint_*')]
    test_same(len(stray), 0 if how == 'SIGKILL' else 1)
    for f in checkpoints(tmp_path): read_run(f)
    test_same(newest_run(tmp_path)[1]['steps'], left)
    run(tmp_path, every=2, check=0)
    same_as_whole(tmp_path, whole)
    test_same([f.name for f in tmp_path.glob('.checkpoint_*')] == [], True)
    test_same([f.name for f in checkpoints(tmp_path)], ['checkpoint_00000008.pth', 'checkpoint_00000009.pth'])

saves = '''
import sys, torch
from vidnb.learn.run_files import write_run
x = torch.arange(2_000_000.)
for i in range(10**6):
    write_run(dict(i=i, x=x + i), f'{sys.argv[1]}/checkpoint_00000001.pth')
    print(i, flush=True)
'''

def test_killed_at_any_moment_of_a_save(tmp_path):
    "Twelve processes that do nothing but save over one file; what is left is always a whole one"
    rng = random.Random(0)
    for _ in range(12):
        p = subprocess.Popen([sys.executable, '-c', saves, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        said = int(p.stdout.readline())
        time.sleep(rng.uniform(0, .1))
        p.kill()
        said = [said, *map(int, p.stdout.read().split())][-1]
        p.wait()
        doc = read_run(tmp_path/'checkpoint_00000001.pth')
        assert doc['i'] in (said, said+1), 'the file is the last one that was written'
        test_same(doc['x'], torch.arange(2_000_000.) + doc['i'])

def test_a_full_disk_does_not_end_a_training(run, whole, tmp_path):
    "From step 4 on no file may grow beyond 4 kB, which is what a save meets on a full disk"
    p = run(tmp_path, 'limit', 4, every=2)
    said = [l for l in p.stderr.splitlines() if 'training goes on' in l]
    assert said and 'checkpoint_00000006.pth was not written: ' in said[0], p.stderr[-2000:]
    test_same((newest_run(tmp_path)[1]['steps'], list(tmp_path.glob('.checkpoint_*')) == []), (4, True))
    run(tmp_path, check=0)
    same_as_whole(tmp_path, whole)

@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write to any folder')
def test_a_folder_that_is_read_only(run, tmp_path):
    tmp_path.chmod(0o555)
    p = run(tmp_path)
    tmp_path.chmod(0o755)
    assert p.returncode == 1 and f'{tmp_path} cannot be written to: ' in p.stderr
