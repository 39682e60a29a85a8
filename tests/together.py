"""Trainings of two processes: what `tests/test_distributed.py` starts with `torchrun`, and calls by itself for the training of one.

    python -m torch.distributed.run --standalone --nproc_per_node 2 tests/together.py FOLDER [killed]"""
import json, os, signal, sys, warnings
from pathlib import Path
import numpy as np
import torch
import torch.nn as nn
from fastai.callback.core import Callback
from fastai.callback.training import GradientAccumulation, GradientClip
from fastai.metrics import accuracy
from fastai.optimizer import SGD
from fastai.torch_core import set_seed
from vidnb.core.environment import process_rank
from vidnb.core.testing import test_same as same
from vidnb.learn.callbacks import EMA, DistEvalHook, PreciseBN, StopOnNaN
from vidnb.learn.distributed import join_processes
from vidnb.learn.learner import plain_progress, video_learner
from vidnb.learn.metrics import MeanClassAccuracy
from vidnb.learn.processes import gather_objects, n_processes, wait_for_all
from vidnb.learn.run_files import checkpoints, read_run, storable
from vidnb.learn.runs import RunFolder
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.models.recognizers import tiny3d
from vidnb.video.reader import video_files
from vidnb.video.synth import synth_actions

def make_data(root):
    "13 clips to train on and 7 held out, and the same with a file that is broken"
    synth_actions(root/'clips', n_per_class=7, n_valid=4, classes=('left', 'right'), size=32, n_frames=12)
    for f in (video_files(root/'clips/train')[0], video_files(root/'clips/valid')[0]): f.unlink()

def plain_net(n_out, pretrained=False): # without batch norms and dropout
    return nn.Sequential(nn.Conv3d(3, 6, 3, 2), nn.ReLU(), nn.Conv3d(6, 8, (1, 3, 3), 2), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, n_out))

def halves(m): return [list(m.parameters())]

def made(root, arch=plain_net, bs=4, cbs=None, files=None, **kwargs):
    "A learner whose batches are of `bs` over all processes"
    set_seed(0)
    kw = dict(clip_len=4, frame_interval=2, size=24, num_workers=0, device='cpu', drop_last=False, bs=bs//n_processes()) | kwargs
    dls = VideoDataLoaders.from_folder(root/'clips', **kw) if files is None else VideoDataLoaders.from_lists(root, *files, **kw)
    split = dict(splitter=halves) if arch is plain_net else dict(arch_kw=dict(base_channels=8))
    learn = video_learner(dls, arch, metrics=[accuracy, MeanClassAccuracy()], cbs=cbs, path=root, opt_func=SGD, **split)
    plain_progress(learn, out=lambda s: None)
    return learn

class Grads(Callback): # those of the first step
    order,run_valid,first = 45,False,None
    def before_step(self):
        if self.first is None: self.first = [p.grad.clone() for p in self.model.parameters()]

def flat(model): return torch.cat([v.detach().double().flatten() for v in model.state_dict().values()])

def same_everywhere(learn):
    for other in gather_objects(flat(learn.model)): same(flat(learn.model), other)

def result(learn): return dict(losses=torch.stack(learn.recorder.losses).double(), rows=torch.tensor([list(r)[:4] for r in learn.recorder.values], dtype=torch.float64), weights=flat(learn.model))

def law(root, **kwargs):
    "The training that is the same in one and two processes"
    learn = made(root, cbs=[Grads(), *kwargs.pop('cbs', [])], **kwargs)
    with learn.distrib_ctx(): learn.fit_one_cycle(2, .05)
    same_everywhere(learn)
    return result(learn) | dict(grads=torch.cat([g.flatten() for g in learn.grads.first]))

def accumulated(root): return law(root, bs=4, drop_last=True, cbs=[GradientAccumulation(8//n_processes()), GradientClip(.1)])

def left_over(root): return law(root, bs=8, cbs=[GradientAccumulation(14//n_processes())]) # batches of 8 and 5: parts of 3 and 2 clips, of which only one is enough for a step

def evaluated(root):
    "Loss and metrics over batches of 2, of which there are 4, the last of one clip; predictions"
    learn = made(root, bs=2*n_processes())
    with learn.distrib_ctx():
        vals = list(learn.validate())
        preds,targs = learn.get_preds()
        inputs = learn.get_preds(with_input=True)[0]
    plain = lambda t: t.as_subclass(torch.Tensor)
    return dict(vals=torch.tensor(vals, dtype=torch.float64), preds=plain(preds), targs=plain(targs), inputs=plain(inputs))

class Struck(Callback): # the second process gets a signal
    run_valid = False
    def __init__(self, at, number=signal.SIGTERM): self.at,self.number = at,number
    def after_pred(self):
        if self.train_iter == self.at and process_rank() == 1: os.kill(os.getpid(), self.number)

def full(root, folder, struck=None):
    "Everything that knows about processes in one training"
    hook = lambda learn: DistEvalHook(learn.dls.valid, folder=root/folder/'best', topk=1)
    learn = made(root, tiny3d, cbs=[EMA(.9), PreciseBN(2), RunFolder(root/folder/'runs', 'run', tensorboard=False)] + ([struck] if struck else []))
    learn.add_cb(hook(learn))
    with learn.distrib_ctx():
        try: learn.fit_resumable(root/folder/'checkpoints', 2, .05, fit='fit_one_cycle', every=2)
        except SystemExit as e: learn.ended = e.code
    return learn

def together(root):
    "All checks of two processes"
    results = dict(law=law(root), accumulated=accumulated(root), left_over=left_over(root), evaluated=evaluated(root))
    if not process_rank(): torch.save(storable(results), root/'results.pt')
    for check in (averages_and_resumes, killed_goes_on, other_number, broken_files, no_number, failing_disk, exports): check(root)

def averages_and_resumes(root):
    whole = full(root, 'whole')
    same_everywhere(whole)
    draws = gather_objects(torch.rand(3).tolist())
    assert draws[0] != draws[1], 'the processes draw the same numbers'
    first = full(root, 'stopped', Struck(3))
    assert first.ended == 143 and len(first.recorder.losses) == 4, 'one process was told to stop, and both did after the same step'
    again = full(root, 'stopped')
    same(result(again), result(whole))
    same(again.recorder.evals, whole.recorder.evals)
    for fit in ('whole', 'stopped'): same(sorted(f.name for f in (root/fit/'checkpoints').iterdir()), ['checkpoint_00000006.pth', 'checkpoint_00000008.pth'])
    same(sorted(f.name for f in (root/'whole/runs').iterdir()), ['run'])
    same(sorted(f.name for f in (root/'stopped/runs').iterdir()), ['run', 'run-2'])
    config = json.loads((root/'whole/runs/run/config.json').read_text())
    same((config['processes'], config['batch size'], config['finished']), (2, 4, True))
    losses = (root/'whole/runs/run/losses.csv').read_text().splitlines()
    same(len(losses), 9)
    alone = [float((whole.model.eval()(b[0].as_subclass(torch.Tensor)).argmax(1) == b[1]).float().mean()) for b in whole.dls.valid.new(bs=7)]
    same(whole.recorder.evals[-1]['top1_acc'], alone[0], eps=1e-6)
    same(whole.recorder.values[-1][2], alone[0], eps=1e-6)

def killed_goes_on(root):
    "What is left of a run whose second process was killed"
    same([f.name for f in checkpoints(root/'killed/checkpoints')][-1], 'checkpoint_00000004.pth')
    learn = full(root, 'killed')
    same(result(learn), result(full(root, 'whole'))) # whose end is in its checkpoint

def other_number(root):
    "A checkpoint of two processes names the batch of all, so that one process with the whole batch can take it up"
    doc = read_run(checkpoints(root/'whole/checkpoints')[-1])
    same((doc['plan']['batch size'], len(doc['chance'])), (4, 2))

def broken_files(root):
    "The second process loses a whole batch, and the step is taken all the same; the first one's record has the file"
    files = [f for s in ('train', 'valid') for f in video_files(root/'clips'/s)][:10]
    bad = root/'bad.mp4'
    if not process_rank(): bad.write_bytes(b'')
    wait_for_all()
    files[2] = bad
    learn = made(root, files=(files, ['a', 'b']*5), valid_idx=[8, 9], bs=4, shuffle=False, on_fault='skip', cbs=None)
    learn.dls.train.shuffle = False
    with learn.distrib_ctx(): learn.fit(2, .01)
    same_everywhere(learn)
    same(len(learn.recorder.losses), 4)
    if not process_rank(): same([(r['file'], r['index']) for r in learn.dls.faults.records()], [(str(bad), 2)]*2)

def no_number(root):
    "A loss that is NaN in the second process ends both"
    class Poison(Callback):
        run_valid = False
        def before_batch(self):
            if self.train_iter == 1 and process_rank(): self.learn.xb = (self.xb[0]*float('nan'),)
    learn = made(root, cbs=[Poison(), StopOnNaN()])
    try:
        with learn.distrib_ctx(): learn.fit(1, .01)
    except FloatingPointError as e: said = str(e)
    assert ('the input has NaN' if process_rank() else 'it came from another process') in said, said

def failing_disk(root):
    class Breaks(Callback):
        run_valid = False
        def after_step(self):
            if self.train_iter == 1 and not process_rank(): (root/'disk').rename(root/'gone'); (root/'disk').write_text('a file')
    learn = made(root, cbs=Breaks())
    with warnings.catch_warnings(record=True) as said, learn.distrib_ctx():
        warnings.simplefilter('always')
        learn.fit_resumable(root/'disk', 1, .01, every=1)
    same(sum('training goes on' in str(w.message) for w in said) > 0, process_rank() == 0)
    same(len(learn.recorder.losses), 4)

def exports(root):
    learn = made(root, tiny3d)
    learn.path = root/'export'
    fn = learn.export('x.pth')
    same(sorted(f.name for f in fn.parent.iterdir()), ['x.pth'])

if __name__ == '__main__':
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    with join_processes(minutes=5):
        if sys.argv[2:] == ['killed']: full(root, 'killed', Struck(5, signal.SIGKILL))
        else: together(root)
