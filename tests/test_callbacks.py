"""`DistEvalHook` in two real processes (gloo on the CPU): every sample is scored once, in order, by one set of running statistics."""
import json, subprocess, sys
import numpy as np
import pytest
import torch
from vidnb.core.testing import *
from vidnb.video.synth import synth_actions

program = '''
import json, sys
from pathlib import Path
import numpy as np, torch
import torch.distributed as dist
from fastai.callback.core import Callback
from fastai.torch_core import set_seed
from vidnb.datasets.recognition import VideoDataset
from vidnb.learn.callbacks import DistEvalHook
from vidnb.learn.learner import plain_progress, video_learner
from vidnb.loading.dataloader import build_dataloader
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.models.recognizers import tiny3d
torch.set_num_threads(1)
rank, world, root, collect = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == 'tensors'
if world > 1: dist.init_process_group('gloo', init_method=f'file://{root}/meet_{sys.argv[4]}', rank=rank, world_size=world)

class Noted(VideoDataset):
    def evaluate(self, results, **kwargs):
        np.save(root/f'scores_{world}_{rank}_{sys.argv[4]}.npy', np.stack(results))
        return super().evaluate(results, **kwargs)

class Apart(Callback):
    "Running statistics of the second process are wrong, as if it had trained on other data"
    order = 40
    def after_validate(self):
        for n,b in self.model.named_buffers():
            if rank and n.endswith('running_mean'): b.add_(3.)

set_seed(0)
dls = VideoDataLoaders.from_folder(root/'clips', clip_len=4, frame_interval=2, size=24, bs=4, num_workers=0, device='cpu')
pipeline = [dict(type='PyAVInit'), dict(type='SampleFrames', clip_len=4, frame_interval=2, test_mode=True), dict(type='PyAVDecode'), dict(type='Resize', scale=(24, 24), keep_ratio=False),
            dict(type='FormatShape', input_format='NCTHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]), dict(type='ToTensor', keys=['imgs', 'label'])]
loader = build_dataloader(Noted(root/'valid.txt', pipeline, test_mode=True), 2, 0, shuffle=False)
hook = DistEvalHook(loader, gpu_collect=collect, folder=root/f'best_{world}_{sys.argv[4]}', topk=1)
learn = video_learner(dls, tiny3d, path=root, arch_kw=dict(base_channels=8), cbs=[hook, Apart()])
plain_progress(learn, out=lambda s: None)
learn.fit(1, 0.)
print(json.dumps(dict(n=len(loader.dataset), last=hook.last, batches=len(loader), rank=rank)))
'''

@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('hook')
    synth_actions(root/'clips', n_per_class=2, n_valid=4, classes=('left', 'right'), size=32, n_frames=16)
    files = sorted((root/'clips/valid').rglob('*.mp4'))[:7]
    (root/'valid.txt').write_text('\n'.join(f'{f} {int(f.parent.name == "right")}' for f in files))
    return root

def run(root, world, how):
    ps = [subprocess.Popen([sys.executable, '-W', 'ignore', '-c', program, str(r), str(world), str(root), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for r in range(world)]
    outs = [p.communicate(timeout=600) for p in ps]
    assert all(p.returncode == 0 for p in ps), '\n'.join(e[-2000:] for _,e in outs)
    return [json.loads(o.splitlines()[-1]) for o,_ in outs]

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
