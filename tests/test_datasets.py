"Recognition datasets over real videos, folders of frames and annotation files"
import pickle
import re
import numpy as np
import pytest
import torch
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.base import build_dataset, read_results
from vidnb.datasets.recognition import RawframeDataset, VideoDataset
from vidnb.transforms.compose import lookup
from vidnb.transforms.decoding import RawFrameDecode
from vidnb.transforms.formatting import Collect, FormatShape, ToTensor
from vidnb.transforms.geometry import CenterCrop, Flip, Fuse, RandomResizedCrop, Resize
from vidnb.transforms.sampling import SampleFrames
from vidnb.video.reader import VideoError, available_backends, open_video

# file, frames, (h, w): as the data's manifest has them; the last one is stored on its side
VIDEOS = [('carphone_pristine.mp4', 120, (144, 176)), ('archery_paddlevideo_example.avi', 131, (240, 320)), ('arm_wrestling_mmaction2_demo.mp4', 280, (256, 340)),
          ('flipping_a_pancake.mkv', 310, (240, 426)), ('keyboard_video_90.mov', 3, (568, 320))]
PAIRS = dict(pyav='PyAV', decord='Decord', opencv='OpenCV', torchcodec='Torchcodec')
HERE = available_backends()

def decoders(backend): return [dict(type=PAIRS[backend] + 'Init'), SampleFrames(4, 8, num_clips=2, test_mode=True), dict(type=PAIRS[backend] + 'Decode')]

@pytest.fixture
def listing(tmp_path):
    "Real videos, one class each, listed in a file"
    root = shared_data('videos', VIDEOS[0][0]).parent
    (tmp_path/'list.txt').write_text(''.join(f'{name} {i}\n' for i,(name,_,_) in enumerate(VIDEOS)))
    return tmp_path/'list.txt', root

@pytest.mark.parametrize('backend', [pytest.param(b, marks=pytest.mark.skipif(HERE[b] is not None, reason=f'{b}: {HERE[b]}')) for b in PAIRS])
def test_videos_by_each_library(listing, backend):
    ds = VideoDataset(listing[0], decoders(backend), data_prefix=listing[1], num_classes=len(VIDEOS))
    for i,(name,n,hw) in enumerate(VIDEOS):
        s = ds[i]
        same((s['label'], s['total_frames'], s['img_shape'], s['original_shape'], s['video_reader']), (i, n, hw, hw, None))
        same(s['frame_inds'], SampleFrames(4, 8, num_clips=2, test_mode=True)(dict(total_frames=n))['frame_inds'])
        with open_video(listing[1]/name, 'pyav') as r: want = r.get_batch(s['frame_inds'])
        assert s['imgs'].dtype == np.uint8 and abs(s['imgs'].astype(int) - want).mean() <= 2, name

def full(seed=0, lazy=False):
    return [dict(type='PyAVInit'), SampleFrames(8, 2, num_clips=2, seed=seed), dict(type='PyAVDecode'), RandomResizedCrop(lazy=lazy, seed=seed),
            Resize((64, 64), keep_ratio=False, lazy=lazy), Flip(lazy=lazy, seed=seed), *([Fuse()] if lazy else []), FormatShape('NCTHW'),
            Collect(['imgs', 'label'], meta_keys=[]), ToTensor(['imgs', 'label'])]

def test_a_training_pipeline_gives_batches(listing):
    ds = VideoDataset(listing[0], full(), data_prefix=listing[1])
    batch = next(iter(torch.utils.data.DataLoader(ds, batch_size=len(ds))))
    same((tuple(batch['imgs'].shape), batch['imgs'].dtype, batch['label'].ravel().tolist()), ((5, 2, 3, 8, 64, 64), torch.uint8, [0, 1, 2, 3, 4]))
    again = VideoDataset(listing[0], full(), data_prefix=listing[1])
    same([again[i]['imgs'] for i in range(5)], list(batch['imgs']))
    other = VideoDataset(listing[0], full(seed=1), data_prefix=listing[1])
    assert not torch.equal(other[0]['imgs'], batch['imgs'][0])

def test_lazy_steps_give_the_same_clips(listing):
    "A crop before a resize is the order in which fusing changes nothing"
    now, later = (VideoDataset(listing[0], full(lazy=lazy), data_prefix=listing[1]) for lazy in (False, True))
    for i in range(len(now)): same(later[i], now[i])

def test_a_dataset_survives_pickling(listing):
    ds = pickle.loads(pickle.dumps(VideoDataset(listing[0], decoders('pyav') + [CenterCrop(96)], data_prefix=listing[1])))
    same(ds[0]['imgs'].shape, (8, 96, 96, 3))

@pytest.mark.parametrize('name', ['corrupted.mp4', 'empty_result.webm', 'audio_only_opus_init.mp4', 'short-cenc.mp4', 'chunk_out_of_range.mp4', 'nowhere.mp4'])
def test_a_broken_video_is_named(tmp_path, name):
    root = shared_data('odd_media', 'corrupted.mp4').parent
    (tmp_path/'list.txt').write_text(f'{name} 0\n')
    ds = VideoDataset(tmp_path/'list.txt', [dict(type='PyAVInit'), SampleFrames(16, 3, test_mode=True), dict(type='PyAVDecode')], data_prefix=root)
    with pytest.raises(VideoError, match=re.escape(name)): ds[0]

def test_rgb_frames_are_those_of_the_video(tmp_path):
    "The folder was extracted from one of the videos by the authors of the files; compression is all that differs"
    folder = shared_data('rawframes', 'ucf_like_imgs')
    (tmp_path/'list.txt').write_text(f'{folder.name} 10 4\n')
    steps = [SampleFrames(10, test_mode=True), RawFrameDecode()]
    s = RawframeDataset(tmp_path/'list.txt', steps, data_prefix=folder.parent)[0]
    same((s['imgs'].shape, s['label']), ((10, 240, 320, 3), 4))
    same(s['frame_inds'], np.arange(1, 11))
    with open_video(shared_data('videos', 'v_ApplyEyeMakeup_g01_c01.avi'), 'pyav') as r: assert abs(s['imgs'].astype(int) - r.get_batch(range(10))).mean() < 3
    pillow = RawframeDataset(tmp_path/'list.txt', [steps[0], RawFrameDecode(decoding_backend='pillow')], data_prefix=folder.parent)[0]
    assert abs(s['imgs'].astype(int) - pillow['imgs']).mean() <= 1
    late = RawframeDataset(tmp_path/'list.txt', [lambda r: dict(r, offset=3, frame_inds=[1, 2]), RawFrameDecode()], data_prefix=folder.parent)[0]
    same(late['imgs'], s['imgs'][3:5])

def test_flow_frames(tmp_path):
    folder = shared_data('rawframes', 'ucf_like_imgs')
    (tmp_path/'list.txt').write_text(f'{folder.name} 5 0\n')
    steps = [SampleFrames(5, test_mode=True), RawFrameDecode(), Resize((-1, 32)), Flip(1.), dict(type='Normalize', mean=(128, 128), std=(128, 128)), FormatShape('NCHW_Flow')]
    ds = RawframeDataset(tmp_path/'list.txt', steps, data_prefix=folder.parent, modality='Flow', filename_tmpl='{}_{:05d}.jpg')
    imgs = ds[0]['imgs']
    assert imgs.shape[:2] == (1, 10) and imgs.dtype == np.float32 and -1 <= imgs.min() < imgs.max() < 1
    plain = RawframeDataset(tmp_path/'list.txt', steps[:3] + steps[4:], data_prefix=folder.parent, modality='Flow', filename_tmpl='{}_{:05d}.jpg')[0]['imgs']
    same(imgs[0, ::2], -plain[0, ::2, :, ::-1], eps=1/127)      # 255 - x mirrors around 127.5, not 128
    same(imgs[0, 1::2], plain[0, 1::2, :, ::-1])

def test_ucf101_lists():
    "The official lists count classes from 1, and the test list has no labels: both are said, with the line"
    train, test = shared_data('annotations', 'ucf101_splits', 'trainlist01.txt'), shared_data('annotations', 'ucf101_splits', 'testlist01.txt')
    ds = VideoDataset(train, [], data_prefix='/data/ucf101', num_classes=102)
    same((len(ds), len(set(ds.labels())), min(ds.labels()), max(ds.labels())), (9537, 101, 1, 101))
    same(ds.video_infos[0], dict(filename='/data/ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi', label=1))
    line = 1 + next(i for i,l in enumerate(train.read_text().splitlines()) if l.split()[1] == '101')
    with expect_error(ValueError, f'trainlist01.txt:{line}: label 101 is out of range; 101 classes have labels 0 to 100'): VideoDataset(train, [], num_classes=101)
    with expect_error(ValueError, "testlist01.txt:1: 1 fields where 'filename label' is expected"): VideoDataset(test, [])

def test_hmdb51_lists():
    folder = shared_data('annotations', 'hmdb51_splits', 'wave_test_split1.txt')
    ds = VideoDataset(folder, [], num_classes=3)
    counts = np.bincount(ds.labels())
    same((len(counts), int(counts[1]), int(counts[2])), (3, 70, 30))      # HMDB51: 70 training and 30 test clips of every class

def test_kinetics_csv_needs_its_columns_named():
    with expect_error(ValueError, "kinetics-400_val.csv:1: 6 fields where 'filename label' is expected"): VideoDataset(shared_data('annotations', 'kinetics-400_val.csv'), [])

def test_scores_of_a_run_can_be_kept(listing, tmp_path):
    ds = build_dataset(dict(type='RepeatDataset', times=2, dataset=dict(type='VideoDataset', ann_file=listing[0], pipeline=[])))
    same(len(ds), 10)
    scores = list(np.random.default_rng(0).random((5, 5)).astype(np.float32))
    ranks = [int((s > s[i]).sum()) for i,s in enumerate(scores)]
    for kind in ('json', 'yaml', 'csv'):
        back = [np.array(r, np.float32) for r in read_results(ds.dataset.dump_results(scores, tmp_path/f'scores.{kind}'))]
        same(ds.dataset.evaluate(back, topk=(1, 3)), dict(top1_acc=ranks.count(0)/5, top3_acc=sum(r < 3 for r in ranks)/5), eps=1e-9)

def test_every_step_has_its_name():
    for b in PAIRS.values():
        for kind in ('Init', 'Decode'): same(lookup(b + kind).__name__, b + kind)
