"""Runs that are stopped and go on, with real processes: signals, SIGKILL in the middle of a save, a limit on the size of files.

The law: losses, table and weights of a run that was interrupted anywhere are those of the run that was not, bit for bit on a CPU."""
import io, os, random, resource, signal, time, warnings
from functools import partial
from pathlib import Path
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientAccumulation
from fastai.torch_core import set_seed
import children
from children import Child, bound_by_permissions
from vidnb.core.testing import *
from vidnb.learn.learner import plain_progress, video_learner
from vidnb.learn.run_files import checkpoints, newest_run, read_run, storable, write_run
import vidnb.learn.precision
import vidnb.learn.resume
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.models.recognizers import tiny3d
from vidnb.video.synth import synth_actions

class Strike(Callback):
    "What happens to a run in the middle of step `at`"
    run_valid = False
    def __init__(self, how, at): self.how,self.at = how,at
    def after_pred(self):
        if self.train_iter != self.at: return
        if self.how == 'limit': resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        else: os.kill(os.getpid(), getattr(signal, self.how))

def half_a_save(save, at, doc, f):
    "Half of the bytes reach the file, and the process is gone"
    if doc['steps'] < at: return save(doc, f)
    save(doc, b := io.BytesIO())
    f.write(b.getvalue()[:len(b.getvalue())//2]); f.flush()
    os.kill(os.getpid(), signal.SIGKILL)

def not_renamed(replace, at, src, dst):
    if Path(dst).name >= f'checkpoint_{at:08}': os.kill(os.getpid(), signal.SIGKILL)
    replace(src, dst)

def program(data, folder, how='', at=-1, workers=0, every=None, half=False):
    "The whole of a process"
    torch.set_num_threads(1)
    os.umask(0o22)
    warnings.resetwarnings()
    if how == 'read-only': bound_by_permissions()
    set_seed(7)
    dls = VideoDataLoaders.from_folder(data, clip_len=4, frame_interval=2, size=24, bs=4, num_workers=workers, device='cpu')
    learn = video_learner(dls, tiny3d, path=folder, arch_kw=dict(base_channels=8), cbs=Strike(how, at) if how in ('SIGINT', 'SIGTERM', 'SIGKILL', 'limit') else None)
    plain_progress(learn, out=lambda s: None)
    if half:
        learn.add_cb(GradientAccumulation(8))
        learn.to_fp16(init_scale=2.**24, growth_interval=2)
    if how == 'half': torch.save = partial(half_a_save, torch.save, at)
    if how == 'rename': os.replace = partial(not_renamed, os.replace, at)
    learn.fit_resumable(folder, 3, 5e-3, every=every)
    rec = learn.recorder
    torch.save(storable(dict(losses=torch.stack(rec.losses), lrs=torch.tensor(rec.lrs, dtype=torch.float64), values=torch.tensor([list(v) for v in rec.values]), model=dict(learn.model.state_dict()))), folder/'result.pt')

@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return synth_actions(tmp_path_factory.mktemp('clips'), n_per_class=6, n_valid=2, classes=('left', 'right'), size=32, n_frames=16)

@pytest.fixture(scope='module')
def run(data):
    def go(folder, how='', at=-1, workers=0, every=None, check=None, half=False):
        folder.mkdir(exist_ok=True)
        p = children.run(program, data, folder, how, at, workers, every, half)
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

@pytest.mark.parametrize('how,at,workers,code', [('SIGINT', 1, 0, 130), ('SIGTERM', 4, 2, 143), ('SIGINT', 5, 2, 130), ('SIGTERM', 8, 0, 143)])
def test_stopped_by_a_signal(run, whole, tmp_path, how, at, workers, code):
    p = run(tmp_path, how, at, workers)
    assert p.returncode == code, p.stderr[-3000:]
    assert 'Traceback' not in p.stderr, p.stderr[-3000:]
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

def test_scale_and_half_a_sum_go_on(run, tmp_path):
    "In float16 with accumulation, stopped between the two halves of a sum: the scale and the gradients that wait are in the file"
    for name in ('whole', 'parts'): (tmp_path/name).mkdir()
    run(tmp_path/'whole', check=0, half=True)
    run(tmp_path/'parts', 'SIGTERM', 4, check=143, half=True)
    doc = newest_run(tmp_path/'parts')[1]
    assert doc['scaler']['scale'] != 2.**24 and any(g is not None and bool((g != 0).any()) for g in doc['grads']) and doc['callbacks']['gradient_accumulation']['count'] == 4
    run(tmp_path/'parts', check=0, half=True)
    same_as_whole(tmp_path/'parts', torch.load(tmp_path/'whole/result.pt', weights_only=True))

def saves(folder):
    x = torch.arange(2_000_000.)
    for i in range(10**6):
        write_run(dict(i=i, x=x + i), folder/'checkpoint_00000001.pth')
        print(i, flush=True)

def test_killed_at_any_moment_of_a_save(tmp_path):
    "Twelve processes that do nothing but save over one file; what is left is always a whole one"
    rng,fn = random.Random(0),tmp_path/'checkpoint_00000001.pth'
    for _ in range(12):
        fn.unlink(missing_ok=True)
        p, until = Child(saves, tmp_path), time.monotonic()+300
        while not fn.exists() and time.monotonic() < until: time.sleep(.002)
        time.sleep(rng.uniform(0, .1))
        os.kill(p.pid, signal.SIGKILL)
        said = [-1, *map(int, p.wait().stdout.split())][-1]
        doc = read_run(fn)
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

def test_a_folder_that_is_read_only(run, tmp_path):
    "Root too, without the right to write to any folder"
    tmp_path.chmod(0o555)
    p = run(tmp_path, 'read-only')
    tmp_path.chmod(0o755)
    assert p.returncode == 1 and f'{tmp_path} cannot be written to: Permission denied' in p.stderr, p.stderr[-2000:]
    test_same(list(tmp_path.iterdir()) == [], True)
