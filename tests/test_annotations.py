"Annotation files as they are published, through to clips and to fastai's loaders"
import random
import shutil
import numpy as np
import pytest
import torch
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.datasets.annotations import find_videos, read_classes, read_list, write_annotations
from vidnb.datasets.published import read_charades, read_hmdb51, read_kinetics, read_moments, read_something, read_ucf101
from vidnb.datasets.recognition import RawframeDataset, VideoDataset
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.transforms.decoding import RawFrameDecode
from vidnb.transforms.formatting import Collect, FormatShape, ToTensor
from vidnb.transforms.geometry import CenterCrop, Resize
from vidnb.transforms.sampling import SampleFrames

STEPS = [dict(type='PyAVInit'), SampleFrames(8, 4, test_mode=True), dict(type='PyAVDecode'), Resize((-1, 64)), CenterCrop(56), FormatShape('NCTHW'), Collect(['imgs', 'label'], meta_keys=[]), ToTensor(['imgs', 'label'])]

@pytest.fixture(scope='module')
def ucf(): return read_ucf101(shared_data('annotations', 'ucf101_splits'))

def as_lists(ds): return [(o.get('filename', o.get('frame_dir')), o['label']) for o in ds.video_infos]

@pytest.mark.parametrize('kind', ['txt', 'csv', 'json'])
def test_ucf101_from_the_published_files_to_a_dataset(ucf, tmp_path, kind):
    train = VideoDataset(write_annotations(ucf.select('train'), tmp_path/f'train.{kind}'), [], num_classes=101)
    official = [l.split() for l in shared_data('annotations', 'ucf101_splits', 'trainlist01.txt').read_text().splitlines()]
    same(as_lists(train), [(f, int(n)-1) for f,n in official])
    same(len(VideoDataset(write_annotations(ucf.select('test'), tmp_path/f'test.{kind}'), [])), 3783)

def test_kinetics_round_trip(tmp_path):
    ann = read_kinetics(shared_data('annotations', 'kinetics-400_val.csv'))
    ds = VideoDataset(write_annotations(ann, tmp_path/'val.csv'), [], num_classes=400)
    same(len(ds), 19906)
    same([ann.classes[i] for i in ds.labels()], ann.table.label.tolist())
    names = read_classes(shared_data('annotations', 'label_map_k400.txt'))
    back = read_list(tmp_path/'val.csv', classes=names)
    same(back.table.values.tolist(), ann.table[['filename', 'label']].values.tolist())
    id_, times = ann.table.filename[0][:11], ann.table.filename[0][11:]
    same((id_, times), (ann.table.youtube_id[0], f'_{ann.table.time_start[0]:06d}_{ann.table.time_end[0]:06d}.mp4'))

def test_hmdb51_counts_what_it_leaves_out():
    ann = read_hmdb51(shared_data('annotations', 'hmdb51_splits'))
    lines = sum(len(f.read_text().splitlines()) for f in shared_data('annotations', 'hmdb51_splits').glob('*_test_split1.txt'))
    same(len(ann.table) + len(ann.skipped['in neither set']), lines)
    same(bool(ann.table.filename.duplicated().any()), False)

@pytest.fixture
def ucf_folder(ucf, tmp_path):
    "A folder as UCF101 has it, with the one video of it that is here, in another container too"
    here = shared_data('videos', 'v_ApplyEyeMakeup_g01_c01.avi')
    for name in ('v_ApplyEyeMakeup_g01_c01.avi', 'v_ApplyEyeMakeup_g08_c01.mp4'):
        (tmp_path/'ucf'/'ApplyEyeMakeup').mkdir(parents=True, exist_ok=True)
        shutil.copy(here, tmp_path/'ucf'/'ApplyEyeMakeup'/name)
    return tmp_path/'ucf'

def test_a_published_list_to_a_clip(ucf, ucf_folder, tmp_path):
    with pytest.warns(UserWarning, match='13318 of 13320 videos are not in'): there = find_videos(ucf, ucf_folder, missing='skip', any_suffix=True)
    same(sorted(there.table.filename.str[-12:].tolist()), ['_g01_c01.avi', '_g08_c01.mp4'])
    ds = VideoDataset(write_annotations(there, tmp_path/'list.json'), STEPS, data_prefix=ucf_folder)
    clip = ds[1]
    same((tuple(clip['imgs'].shape), clip['imgs'].dtype, clip['label'].tolist()), ((1, 3, 8, 56, 56), torch.uint8, [0]))
    assert clip['imgs'].float().std() > 10
    with expect_error(ValueError, '13319 of 13320 videos are not in'): find_videos(ucf, ucf_folder)

def test_a_table_to_fastai(ucf, ucf_folder):
    with pytest.warns(UserWarning): there = find_videos(ucf, ucf_folder, missing='skip', any_suffix=True)
    dls = VideoDataLoaders.from_df(there.table, ucf_folder, valid_col='split', clip_len=4, size=32, bs=1, num_workers=0)
    same([len(dls.train_ds), len(dls.valid_ds), list(dls.vocab)], [1, 1, ['ApplyEyeMakeup']])
    x,y = dls.one_batch()
    same((tuple(x.shape), y.tolist()), ((1, 3, 4, 32, 32), [0]))

def test_several_labels_to_both_doors(tmp_path):
    names = tmp_path/'Charades_v1_classes.txt'
    names.write_text('c000 Holding some clothes\nc001 Opening a door\n')
    (tmp_path/'c.csv').write_text('id,actions,length\nAB12C,c001 1.0 2.0;c000 0.0 9.5,10\nXY34Z,c001 0.5 2.5,8\n')
    ann = read_charades(dict(train=tmp_path/'c.csv'), names)
    for n in ('AB12C', 'XY34Z'): shutil.copy(shared_data('videos', 'carphone_pristine.mp4'), tmp_path/f'{n}.mp4')
    ds = VideoDataset(write_annotations(ann, tmp_path/'list.txt'), STEPS, data_prefix=tmp_path, multi_class=True, num_classes=2)
    same([ds[i]['label'].tolist() for i in range(2)], [[1., 1.], [0., 1.]])
    dls = VideoDataLoaders.from_df(find_videos(ann, tmp_path).table, tmp_path, valid_pct=.5, seed=0, clip_len=4, size=32, bs=1, num_workers=0, vocab=ann.classes)
    same(tuple(dls.one_batch()[1].shape), (1, 2))

def test_frames_with_an_offset(tmp_path):
    folder = shared_data('rawframes', 'ucf_like_imgs')
    records = [dict(frame_dir=folder.name, offset=i, total_frames=5, label='eyes' if i else 'lips') for i in (0, 5)]
    for kind in ('txt', 'csv', 'json'):
        ds = RawframeDataset(write_annotations(records, tmp_path/f'a.{kind}', classes=['lips', 'eyes']), [SampleFrames(5, test_mode=True), RawFrameDecode()], data_prefix=folder.parent, with_offset=True)
        same(ds.labels(), [0, 1])
    whole = RawFrameDecode()(dict(ds.sample(0), offset=0, frame_inds=np.arange(1, 11)))['imgs']
    same(np.concatenate([o['imgs'] for o in ds]), whole)

READERS = {'kinetics': (lambda f: read_kinetics(f), 'label,youtube_id,time_start,time_end,split\nrun,aa,0,10,val\nsit,bb,4,14,val\n'),
           'something': (lambda f: read_something(dict(train=f), f.with_name('labels.json')), '[\n{"id": "1", "template": "Closing [something]"},\n{"id": "2", "template": "Closing [something]"}]'),
           'moments': (lambda f: read_moments(dict(train=f), f.with_name('cats.txt')), 'run/a.mp4,run,3,1\nrun/b.mp4,run,4,0\n'),
           'charades': (lambda f: read_charades(dict(train=f), f.with_name('classes.txt')), 'id,actions,length\nAA,c000 0.0 2.5,10\nBB,c000 1 3;c000 4 5,10\n'),
           'list': (lambda f: read_list(f, classes=['run', 'sit']), 'a/b.mp4 0\nc d.mp4 sit\n')}

@pytest.mark.parametrize('name', READERS)
def test_a_damaged_list_is_an_error_with_its_file_or_a_list(tmp_path, name):
    "One character changed, added or gone: either the line still makes sense, or the message begins with the file"
    read, text = READERS[name]
    (tmp_path/'labels.json').write_text('{"Closing something": "0"}')
    (tmp_path/'cats.txt').write_text('run,0\n')
    (tmp_path/'classes.txt').write_text('c000 Run\n')
    fn, rng, refused = tmp_path/'list.txt', random.Random(0), 0
    if name in ('kinetics', 'charades'): fn = tmp_path/'list.csv'
    fn.write_text(text)
    n = len(read(fn).table)
    for _ in range(300):
        i = rng.randrange(len(text))
        fn.write_text(text[:i] + rng.choice(['', 'x', '7', '\n', ',', ' ', '"', '-', '\x00', 'é']) + text[i + rng.randrange(2):])
        try: ann = read(fn)
        except ValueError as e:
            refused += 1
            assert str(e).startswith(str(fn)), f'{e}\n{fn.read_text()}'
        else:
            lost = sum(map(len, ann.skipped.values()))
            assert len(ann.table) + lost >= n - 1 and set(ann.table.columns[:2]) == {'filename', 'label'}
    assert refused > 50

def test_a_file_that_is_no_text(tmp_path):
    (tmp_path/'a.csv').write_bytes(bytes(range(256)))
    for read in (read_list, read_kinetics):
        with expect_error(ValueError, f'{tmp_path/"a.csv"}: an annotation file is text in UTF-8'): read(tmp_path/'a.csv')
    with pytest.raises(FileNotFoundError, match='gone.csv'): read_list(tmp_path/'gone.csv')
