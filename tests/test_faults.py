"""Broken files in real runs: every odd file through every reader, training under each policy, workers that die, and what is reported of it all"""
import multiprocessing as mp
import faulthandler, gc, os, pickle, re, shutil, signal, threading, time
import av
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import GrandparentSplitter, parent_label
from children import write_faults
from test_readers import BROKEN, CANNOT, VIDEOS
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.base import build_dataset
from vidnb.learn.learner import plain_progress, video_learner
from vidnb.loading.dataloader import build_dataloader, workers_ended
from vidnb.loading.loaders import LoadClip, VideoBlock, VideoDataLoaders
from vidnb.models.recognizers import tiny3d
from vidnb.video import faults
from vidnb.video.faults import FaultLog, check_videos
from vidnb.video.reader import BACKENDS, VideoError, available_backends, video_files
from vidnb.video.writer import write_video

@pytest.mark.parametrize('backend', list(BACKENDS))
def test_a_scan_of_every_odd_file(backend):
    "Each file is a row: readable as the table of test_readers has it, or with the reason given there"
    if available_backends()[backend]: pytest.skip(f'{backend} cannot be used here: {available_backends()[backend]}')
    table = check_videos([p for p in sorted(shared_data('odd_media').iterdir())], decode=True, backend=backend, num_workers=2)
    same(len(table), len(list(shared_data('odd_media').iterdir())))
    for r in table.itertuples():
        name = f'odd_media/{os.path.basename(r.file)}'
        if name == 'odd_media/corrupted.mp4': words = 'not decode'
        else: words = BROKEN.get(name) or CANNOT.get((backend, name), '')
        same([name, r.ok], [name, not words])
        assert words in r.reason if words else r.reason == '', f'{backend}: {name}: {r.reason}'
        if r.ok: same(np.array([r.frames, r.height, r.width, r.fps], float), np.array(VIDEOS[name], float), eps=1e-6)
    same(check_videos(shared_data('odd_media/corrupted.mp4'), backend=backend).ok.tolist(), [True]) # packets and first frame are good

def bar(fn, i, right):
    "A bar that moves"
    fn.parent.mkdir(parents=True, exist_ok=True)
    frames = np.random.default_rng(i).integers(0, 60, (16, 32, 48, 3), dtype=np.uint8)
    for t in range(16): frames[t, :, 2*t + i % 6:2*t + i % 6 + 6] = 220
    return write_video(fn, frames if right else frames[::-1], fps=8)

def no_frames(fn):
    "A file with a video stream and nothing in it"
    with av.open(str(fn), 'w', format='mp4') as c:
        for codec,kw in (('libx264', dict(rate=10)), ('aac', dict(rate=16000, layout='mono'))): s = c.add_stream(codec, **kw)
        v = c.streams.video[0]
        v.width,v.height,v.pix_fmt = 48,32,'yuv420p'
        f = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        f.sample_rate = 16000
        c.mux(s.encode(f)); c.mux(s.encode())

@pytest.fixture
def folder(tmp_path):
    for s,n in (('train', 10), ('valid', 5)):
        for i in range(n):
            for c in ('left', 'right'): bar(tmp_path/'set'/s/c/f'{i}.mp4', i, c == 'right')
    return tmp_path/'set'

def spoil(folder):
    "One file of each kind, in both sets: path -> words of the reason"
    def hole(f): b = f.read_bytes(); f.write_bytes(b[:len(b)*4//10] + bytes(len(b)*3//10) + b[len(b)*7//10:])
    kinds = [('train/left/0', hole, 'not decode|is damaged'), ('train/left/1', lambda f: f.write_bytes(f.read_bytes()[:len(f.read_bytes())//2]), 'is cut short'),
             ('train/right/2', lambda f: f.write_bytes(b''), 'is empty'), ('train/right/3', lambda f: f.unlink(), 'does not exist'), ('train/right/4', no_frames, ''),
             ('valid/left/0', lambda f: shutil.copy(shared_data('odd_media/audio_only_opus_init.mp4'), f), 'only sound'), ('valid/right/4', lambda f: f.write_bytes(b''), 'is empty')]
    out = {}
    for name,do,words in kinds: f = folder/f'{name}.mp4'; do(f); out[str(f)] = words
    return out

def loaders(folder, workers, on_fault, **kw):
    files = sorted(folder.rglob('*.mp4')) if 'files' not in kw else kw.pop('files')
    return VideoDataLoaders.from_lists(folder.parent, files, [f.parent.name for f in files], valid_idx=[i for i,f in enumerate(files) if 'valid' in f.parts], clip_len=8, frame_interval=2, size=32, area_range=(.9, 1.), **{**dict(bs=4, num_workers=workers, on_fault=on_fault), **kw})

def quiet(learn):
    plain_progress(learn, out=lambda s: None)
    return learn

class Vanish(Callback):
    "Somebody tidies up after the first epoch"
    def __init__(self, file): self.file = file
    def after_epoch(self):
        if self.epoch == 0: self.file.unlink()

@pytest.mark.parametrize('workers', [0, 2])
def test_training_goes_on_without_broken_files(folder, workers, capsys):
    files = sorted(folder.rglob('*.mp4'))
    bad = spoil(folder)
    dls = loaders(folder, workers, 'skip', files=files)
    learn = quiet(video_learner(dls, tiny3d))
    gone = folder/'train'/'left'/'9.mp4'
    learn.fit(3, 1e-3, cbs=Vanish(gone))
    same(len(learn.recorder.values), 3)
    table = dls.faults.table().set_index('file')
    same(table.times.to_dict(), {**{f:3 for f in bad}, str(gone):2})
    for f,words in {**bad, str(gone):'does not exist'}.items(): assert re.search(words, table.reason[f]), f'{f}: {table.reason[f]}'
    said = capsys.readouterr().out
    assert '8 files could not be read (23 failures)' in said and all(f in said for f in table.index)
    csv = pd.read_csv(learn.path/'faults.csv').set_index('file')
    same(csv.times.to_dict(), table.times.to_dict())
    same(sorted(dls.train.seen), [i for i,f in enumerate(f for f in files if 'train' in f.parts) if str(f) not in table.index])

@pytest.mark.parametrize('workers', [0, 2])
def test_predictions_keep_to_their_videos(folder, workers):
    files = sorted(folder.rglob('*.mp4'))
    bad = spoil(folder)
    dls = loaders(folder, workers, 'skip', files=files)
    torch.manual_seed(0)
    learn = quiet(video_learner(dls, tiny3d))
    torch.nn.init.normal_(learn.model.cls_head.fc_cls.weight, std=20) # so that videos differ in what is said of them
    valid = [f for f in files if 'valid' in f.parts]
    good = [f for f in valid if str(f) not in bad]
    with pytest.warns(UserWarning, match='2 of 10 samples could not be read and have no row'): preds,targs = learn.get_preds()
    alone = torch.stack([learn.predict(f, num_clips=1)[2] for f in good])
    same(preds, alone, eps=1e-4)
    same(bool((alone[1:]-alone[:-1]).abs().max() > .01), True)
    same([valid[i] for i in learn.pred_idxs], good)
    same([dls.vocab[int(t)] for t in targs], [f.parent.name for f in good])
    with pytest.warns(UserWarning): interp = learn.interpret()
    load = LoadClip(clip_len=8, frame_interval=2, size=32)
    for i,f in enumerate(good): same(interp.clip(i), load(f, split_idx=1).numpy())
    same(interp.preds, alone.numpy(), eps=1e-4)
    with pytest.warns(UserWarning): some,_ = learn.get_preds(dl=dls.test_dl(valid[::-1], num_workers=workers))
    same(some, alone.flip(0), eps=1e-4)
    same(learn.validate()[0], -torch.log(alone[range(len(good)), targs]).mean().item(), eps=1e-3)

@pytest.mark.parametrize('workers', [0, 2])
def test_raise_names_the_file(folder, workers):
    bad = folder/'train'/'right'/'2.mp4'
    bad.write_bytes(b'')
    learn = quiet(video_learner(loaders(folder, workers, 'raise'), tiny3d))
    with pytest.raises(VideoError) as e: learn.fit(1)
    same([e.value.path, e.value.reason], [str(bad), 'is empty (0 bytes)'])

@pytest.mark.parametrize('workers', [0, 2])
def test_retry_waits_for_a_file(folder, workers):
    files = sorted(folder.rglob('*.mp4'))
    late, hidden = files[1], folder.parent/'hidden.mp4'
    late.rename(hidden)
    dls = loaders(folder, workers, 'retry 6', files=files, bs=20)
    timer = threading.Timer(.5, lambda: os.replace(hidden, late))
    timer.start()
    n = sum(len(y) for _,y in dls.train)
    timer.join()
    same([n, len(dls.faults)], [20, 0])

def test_a_set_without_one_good_file(folder):
    for f in folder.rglob('*.mp4'): f.write_bytes(b'')
    with expect_error(VideoError, 'could not be read, nor could any of the 20 samples; 20 files'): loaders(folder, 0, 'skip')
    for f in (folder/'train').rglob('*.mp4'): bar(f, 0, True)
    learn = quiet(video_learner(loaders(folder, 0, 'skip'), tiny3d))
    with expect_error(VideoError, 'nor could any of the 10 samples'): learn.fit(1)

def test_all_files_gone_is_another_folder(folder):
    with expect_error(ValueError, '2 of 2 videos named by'): loaders(folder, 0, 'skip', files=[folder/'valid'/'a'/'x.mp4', folder/'train'/'b'/'y.mp4'])

def dies(how):
    real, home = LoadClip.read, os.getpid()
    def read(self, fn, seed=None):
        if 'left/5' in str(fn) and os.getpid() != home: faulthandler.disable(); how()
        return real(self, fn, seed)
    return read

@pytest.mark.parametrize('how', [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(3), os.abort, lambda: os._exit(0)], ids=['killed', 'exit 3', 'abort', 'exit 0'])
def test_a_dead_worker_is_reported_with_its_file(folder, monkeypatch, how):
    if 'fork' not in mp.get_all_start_methods(): pytest.skip('no fork on this system')
    monkeypatch.setattr(LoadClip, 'read', dies(how))
    learn = quiet(video_learner(loaders(folder, 2, 'skip'), tiny3d))
    with pytest.raises(VideoError, match='ended the worker process that read it') as e: learn.fit(1)
    same(e.value.path, str(folder/'train'/'left'/'5.mp4'))
    same(learn.dls.faults.table().file.tolist(), [e.value.path])

def test_a_block_has_the_policy_too(folder):
    (folder/'train'/'left'/'0.mp4').write_bytes(b'')
    block = DataBlock(blocks=(VideoBlock(clip_len=4, size=32, on_fault='skip'), CategoryBlock), get_items=video_files, get_y=parent_label, splitter=GrandparentSplitter())
    dls = block.dataloaders(folder, bs=4, num_workers=0)
    same(sum(len(y) for _,y in dls.train), 19)
    same([os.path.basename(f) for f in dls.faults.table().file], ['0.mp4'])
    with expect_error(ValueError, "on_fault is 'keep'"): block.dataloaders(folder, bs=4, num_workers=0, on_fault='keep')

def dataset(folder, test_mode, name='VideoDataset'):
    files = sorted((folder/'train').rglob('*.mp4'))
    ann = folder/'ann.csv'
    ann.write_text(''.join(f'{f},{int(f.parent.name == "right")}\n' for f in files))
    pipeline = [dict(type='PyAVInit'), dict(type='SampleFrames', clip_len=8, frame_interval=2, test_mode=test_mode), dict(type='PyAVDecode'), dict(type='Resize', scale=(-1, 32)),
                dict(type='CenterCrop', crop_size=32), dict(type='FormatShape', input_format='NCTHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=['filename']), dict(type='ToTensor', keys=['imgs', 'label'])]
    return build_dataset(dict(type='VideoDataset', ann_file=str(ann), pipeline=pipeline, test_mode=test_mode))

@pytest.mark.parametrize('workers', [0, 2])
def test_the_seeds_loader(folder, workers):
    train, test = dataset(folder, False), dataset(folder, True)
    bad = [f for f in spoil(folder) if 'train' in f]
    numbers = [i for i,o in enumerate(train.video_infos) if o['filename'] in bad]
    a, b = (build_dataloader(train, 4, workers, seed=1, on_fault='skip') for _ in range(2))
    batches = list(a)
    same([len(o['label']) for o in batches], [4]*5)
    same(torch.cat([o['label'] for o in batches]), torch.cat([o['label'] for o in b]))
    same(sorted(a.faults.table().file), sorted(bad))
    rest = build_dataloader(test, 4, workers, shuffle=False, on_fault='skip')
    same(torch.cat([o['label'] for o in rest]).flatten(), torch.tensor([o['label'] for i,o in enumerate(test.video_infos) if i not in numbers]))
    same(rest.faults.missing(), numbers)
    same(rest.dataset.video_infos, test.video_infos) # as if nothing were around it
    with expect_error(VideoError, bad[0].rsplit(os.sep, 1)[0]): list(build_dataloader(test, 4, workers, shuffle=False))

def test_workers_that_persist_come_back_after_an_error(folder):
    test = dataset(folder, True)
    bad = folder/'train'/'left'/'0.mp4'
    good = bad.read_bytes()
    bad.write_bytes(b'')
    loader = build_dataloader(test, 4, 1, shuffle=False, persistent_workers=True)
    with expect_error(VideoError, 'is empty'): list(loader)
    bad.write_bytes(good)
    for _ in range(2): same(sum(len(o['label']) for o in loader), 20)

@pytest.mark.parametrize('method', [m for m in ('fork', 'spawn') if m in mp.get_all_start_methods()])
def test_many_processes_write_one_record(method):
    log, ctx = FaultLog(), mp.get_context(method)
    log.add('here.mp4', 'first')
    children = [ctx.Process(target=write_faults, args=(log, k)) for k in range(4)]
    for c in children: c.start()
    for c in children: c.join(300); same(c.exitcode, 0)
    same(log.table().set_index('file').times.to_dict(), {**{f'{k}.mp4':100 for k in range(4)}, 'here.mp4':1})
    same([r['reason'] for r in log.records() if r['file'] == '2.mp4'], [f'reason {i}' for i in range(100)])
    folder = log.folder
    twin = pickle.loads(pickle.dumps(log))
    same(len(twin), 5)
    del twin
    same(folder.is_dir(), True)
    del log, children
    same(folder.exists(), False)

def test_a_worker_that_dies_while_it_hands_over_a_batch():
    "The connection breaks before the process has ended; it is waited for, and named as PyTorch names it"
    p = mp.Process(target=time.sleep, args=(.5,))
    p.start()
    it = type('Iterator', (), dict(_workers=[p]))()
    with expect_error(RuntimeError, f'DataLoader worker (pid(s) {p.pid}) exited unexpectedly'):
        with workers_ended(it): raise ConnectionResetError(104, 'Connection reset by peer')
    p.join()
    with expect_error(ValueError, 'else'):
        with workers_ended(it): raise ValueError('something else')

def test_a_scan_is_stopped_by_the_keyboard(folder, monkeypatch):
    "Its processes end with it"
    monkeypatch.setattr(faults, '_serve', "import sys, time\nprint('{}', flush=True)\nprint('{}', flush=True)\ntime.sleep(100)")
    made, started, popen = [], threading.Event(), faults.subprocess.Popen
    def begin(*args, **kwargs):
        made.append(popen(*args, **kwargs))
        if len(made) == 2: started.set()
        return made[-1]
    monkeypatch.setattr(faults.subprocess, 'Popen', begin)
    def press():
        started.wait(300)
        time.sleep(1)   # the scan now waits for its processes; a moment before, Python may go to sleep on a signal that it has not seen
        os.kill(os.getpid(), signal.SIGINT)
    presser = threading.Thread(target=press)
    # Ctrl-C that strikes while Python collects an object is dropped: loaders which other tests left behind are collected before, and nothing is meanwhile
    gc.collect()
    gc.disable()
    try:
        presser.start()
        with pytest.raises(KeyboardInterrupt): check_videos(folder, num_workers=2)
    finally:
        gc.enable()
        presser.join()
    for p in made: p.wait(50)   # they would sleep for 100 seconds
    assert len(made) >= 2
