"What crosses pages on the way from files to batches: worker processes, broken files, odd names, real videos."
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.torch_core import set_seed
from vidnb.core.testing import expect_error, shared_data, test_same
from vidnb.loading.loaders import LoadClip, VideoDataLoaders
from vidnb.video.reader import VideoError
from vidnb.video.writer import write_video

def make(fn, seed, n=20, hw=(48, 64)):
    fn.parent.mkdir(parents=True, exist_ok=True)
    frames = np.random.default_rng(seed).integers(0, 256, (n//4, 6, 8, 3), np.uint8).repeat(4, 0).repeat(hw[0]//6, 1).repeat(hw[1]//8, 2)
    write_video(fn, frames, fps=10)

@pytest.fixture
def folder(tmp_path):
    for c in ('sit down', 'stand up'):
        for i in range(6): make(tmp_path/'my videos'/c/f'clip {i}.mp4', seed=i + 10*(c > 'sit z'))
    return tmp_path/'my videos'

kw = dict(clip_len=4, frame_interval=2, size=32, bs=4)

def test_names_with_spaces_and_a_random_split(folder):
    dls = VideoDataLoaders.from_folder(folder, valid_pct=.25, seed=1, num_workers=0, **kw)
    test_same(list(dls.vocab), ['sit down', 'stand up'])
    test_same([len(dls.train_ds), len(dls.valid_ds)], [9, 3])
    test_same(not set(map(tuple, dls.train.items)) & set(map(tuple, dls.valid.items)), True)

def test_workers_give_what_this_process_gives(folder):
    a,b = (VideoDataLoaders.from_folder(folder, valid_pct=.5, seed=1, num_workers=n, **kw).valid for n in (0, 2))
    for (xa,ya),(xb,yb) in zip(a, b, strict=True):
        test_same(xa, xb)
        test_same(ya, yb)

def test_training_clips_differ_between_workers_and_repeat_with_the_seed(folder):
    def epoch(seed):
        set_seed(seed)
        dls = VideoDataLoaders.from_lists(folder, [folder/'sit down'/'clip 0.mp4']*8, ['a', 'b']*4, valid_idx=[0, 1], num_workers=2, **{**kw, 'bs':3})
        return torch.cat([x for x,_ in dls.train])
    a = epoch(3)
    test_same(a, epoch(3))
    test_same(len(torch.unique(a.flatten(1), dim=0)) >= 5, True)

@pytest.mark.parametrize('workers', [0, 1])
def test_a_broken_file_is_named(folder, workers):
    bad = folder/'sit down'/'clip 3.mp4'
    bad.write_bytes(bad.read_bytes()[:200])
    dls = VideoDataLoaders.from_folder(folder, valid_pct=.2, seed=1, num_workers=workers, **kw)
    with expect_error(VideoError, 'clip 3.mp4'):
        for dl in (dls.train, dls.valid):
            for _ in dl: pass

def test_several_labels(folder):
    files = sorted(folder.rglob('*.mp4'))
    df = pd.DataFrame(dict(fn=[str(f.relative_to(folder)) for f in files], tags=['run;jump' if i % 2 else 'jump' for i in range(len(files))]))
    dls = VideoDataLoaders.from_df(df, folder, label_delim=';', valid_pct=.25, seed=0, num_workers=0, **kw)
    x,y = dls.one_batch()
    test_same(list(dls.vocab), ['jump', 'run'])
    test_same(tuple(y.shape), (4, 2))
    test_same(y[:,0].float(), torch.ones(4))

def test_a_table_says_what_is_wrong_with_it(folder):
    df = pd.DataFrame(dict(fn=['sit down/clip 0.mp4', 'gone.mp4'], label=['a', None]))
    with expect_error(ValueError, 'the first is row 1'): VideoDataLoaders.from_df(df, folder)
    with expect_error(ValueError, 'gone.mp4'): VideoDataLoaders.from_df(df.fillna('a'), folder)

@pytest.mark.parametrize('name', ['yoga.mp4', 'vertical_skateboarding_dog.mp4', 'rotated180_vfr_fire2.mp4', 'keyboard_video_90.mov', 'pigs_in_a_polka.gif'])
def test_real_videos_become_clips(name):
    fn = shared_data('videos', name)
    clip = LoadClip(clip_len=8, frame_interval=4, size=(96, 112), num_clips=3)(fn, split_idx=1)
    test_same(tuple(clip.shape), (3, 8, 96, 112, 3))
    test_same(bool(clip.float().std() > 10), True)
