"""`DistEvalHook` in two real processes (gloo on the CPU): every sample is scored once, in order, by one set of running statistics."""
import json
import numpy as np
import pytest
import torch
import torch.distributed as dist
from fastai.callback.core import Callback
from fastai.torch_core import set_seed
from children import Child
from vidnb.core.environment import process_rank
from vidnb.core.testing import *
from vidnb.datasets.recognition import VideoDataset
from vidnb.learn.callbacks import DistEvalHook
from vidnb.learn.learner import plain_progress, video_learner
from vidnb.loading.dataloader import build_dataloader
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.models.recognizers import tiny3d
from vidnb.video.synth import synth_actions

class Noted(VideoDataset):
    "Keeps the scores it is asked about"
    def evaluate(self, results, **kwargs):
        np.save(self.notes, np.stack(results))
        return super().evaluate(results, **kwargs)

class Apart(Callback):
    "Running statistics of the second process are wrong, as if it had trained on other data"
    order = 40
    def after_validate(self):
        for n,b in self.model.named_buffers():
            if process_rank() and n.endswith('running_mean'): b.add_(3.)

def program(rank, world, root, how):
    torch.set_num_threads(1)
    if world > 1: dist.init_process_group('gloo', init_method=f'file://{root}/meet_{how}', rank=rank, world_size=world)
    set_seed(0)
    dls = VideoDataLoaders.from_folder(root/'clips', clip_len=4, frame_interval=2, size=24, bs=4, num_workers=0, device='cpu')
    pipeline = [dict(type='PyAVInit'), dict(type='SampleFrames', clip_len=4, frame_interval=2, test_mode=True), dict(type='PyAVDecode'), dict(type='Resize', scale=(24, 24), keep_ratio=False),
                dict(type='FormatShape', input_format='NCTHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]), dict(type='ToTensor', keys=['imgs', 'label'])]
    noted = Noted(root/'valid.txt', pipeline, test_mode=True)
    noted.notes = root/f'scores_{world}_{rank}_{how}.npy'
    loader = build_dataloader(noted, 2, 0, shuffle=False)
    hook = DistEvalHook(loader, gpu_collect=how == 'tensors', folder=root/f'best_{world}_{how}', topk=1)
    learn = video_learner(dls, tiny3d, path=root, arch_kw=dict(base_channels=8), cbs=[hook, Apart()])
    plain_progress(learn, out=lambda s: None)
    learn.fit(1, 0.)
    print(json.dumps(dict(n=len(loader.dataset), last=hook.last, batches=len(loader), rank=rank)))

@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('hook')
    synth_actions(root/'clips', n_per_class=2, n_valid=4, classes=('left', 'right'), size=32, n_frames=16)
    files = sorted((root/'clips/valid').rglob('*.mp4'))[:7]
    (root/'valid.txt').write_text('\n'.join(f'{f} {int(f.parent.name == "right")}' for f in files))
    return root

def run(root, world, how):
    ps = [Child(program, r, world, root, how) for r in range(world)]
    outs = [p.wait() for p in ps]
    assert all(o.returncode == 0 for o in outs), '\n'.join(o.stderr[-2000:] for o in outs)
    return [json.loads(o.stdout.splitlines()[-1]) for o in outs]

@pytest.fixture(scope='module')
def alone(root): return run(root, 1, 'objects')[0]

@pytest.mark.parametrize('how', ['objects', 'tensors'])
def test_two_processes_score_as_one(root, alone, how):
    said = run(root, 2, how)
    test_same([s['batches'] for s in said], [2, 2])           # 4 of 8 dealt samples each, of which one is dealt twice
    test_same(alone['batches'], 4)
    want = np.load(root/'scores_1_0_objects.npy')
    test_same(want.shape, (7, 2))
    for r in range(2): test_same(np.load(root/f'scores_2_{r}_{how}.npy'), want, eps=1e-5)
    test_same([s['last'] for s in said], [alone['last']]*2)

def test_only_the_first_process_writes(root, alone):
    run(root, 2, 'tensors') if not (root/'best_2_tensors').exists() else None
    test_same(sorted(f.name for f in (root/'best_2_tensors').iterdir()), ['best.json', 'best_top1_acc_epoch_1.pth'])
