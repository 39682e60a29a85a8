"Files in archives, by several processes at once and through the steps of a pipeline"
import multiprocessing as mp
import os
import tarfile
import zipfile
from pathlib import Path
import numpy as np
import pytest
from torch.utils.data import DataLoader
from vidnb.core.testing import test_same as same
from vidnb.datasets.recognition import VideoDataset
from vidnb.transforms.decoding import PyAVDecode, PyAVInit
from vidnb.transforms.formatting import Collect, FormatShape, ToTensor
from vidnb.transforms.sampling import SampleFrames
from vidnb.video.files import file_bytes, local_file
from vidnb.video.reader import VideoError
from vidnb.video.writer import write_video

N, SIZE = 40, 120_000

def content(i): return bytes([i])*SIZE

@pytest.fixture
def archives(tmp_path, monkeypatch):
    "The same members in a zip and in a tar file, and an empty cache"
    monkeypatch.setenv('VIDNB_CACHE', str(tmp_path/'cache'))
    (tmp_path/'in').mkdir()
    for i in range(N): (tmp_path/'in'/f'{i}.mp4').write_bytes(content(i))
    with zipfile.ZipFile(tmp_path/'a.zip', 'w', zipfile.ZIP_DEFLATED) as z, tarfile.open(tmp_path/'a.tar', 'w') as t:
        for f in sorted((tmp_path/'in').iterdir()): z.write(f, f.name); t.add(f, f.name)
    return tmp_path

def wrong(job):
    "Names of members that a process gets wrong; each begins at another"
    kind, fo, first, copy = job
    bad = []
    for i in ((first+k) % N for k in range(N)):
        get = (lambda *a, **k: Path(local_file(*a, **k)).read_bytes()) if copy else file_bytes
        if get(f'{i}.mp4', kind, fo=fo) != content(i): bad.append(i)
    return bad

@pytest.mark.parametrize('copy', [True, False], ids=['copies', 'bytes'])
@pytest.mark.parametrize('kind', ['zip', 'tar'])
def test_forked_workers_do_not_share_a_position(archives, kind, copy):
    "The parent has the archive open; children that inherit it and seek at once must not read each other's bytes"
    fo = str(archives/f'a.{kind}')
    assert file_bytes('0.mp4', kind, fo=fo) == content(0)
    start = 'fork' if 'fork' in mp.get_all_start_methods() else 'spawn'
    with mp.get_context(start).Pool(4) as pool: got = pool.map(wrong, [(kind, fo, k*N//4, copy) for k in range(4)], chunksize=1)
    assert got == [[]]*4

def test_workers_that_want_one_file_at_once_get_it_whole(archives):
    fo = str(archives/'a.zip')
    start = 'fork' if 'fork' in mp.get_all_start_methods() else 'spawn'
    with mp.get_context(start).Pool(4) as pool: paths = pool.starmap(local_file, [('7.mp4', 'zip', fo)]*12, chunksize=1)
    assert len(set(paths)) == 1 and Path(paths[0]).read_bytes() == content(7)
    assert [f for f in os.listdir(archives/'cache'/'files')] == [Path(paths[0]).name]

@pytest.fixture
def clips(tmp_path, monkeypatch):
    "Six short videos on disk, the same in a zip file, their list, and an empty cache"
    monkeypatch.setenv('VIDNB_CACHE', str(tmp_path/'cache'))
    for i in range(6):
        frames = np.full((8, 32, 48, 3), 20*i, np.uint8)
        frames[..., 1] += np.arange(8, dtype=np.uint8)[:, None, None]*12
        write_video(tmp_path/'videos'/f'{i}.mp4', frames, fps=8)
    with zipfile.ZipFile(tmp_path/'videos.zip', 'w') as z:
        for f in sorted((tmp_path/'videos').iterdir()): z.write(f, f'train/{f.name}')
    (tmp_path/'list.txt').write_text(''.join(f'{i}.mp4 {i}\n' for i in range(6)))
    (tmp_path/'packed.txt').write_text(''.join(f'train/{i}.mp4 {i}\n' for i in range(6)))
    return tmp_path

def pipeline(**storage): return [PyAVInit(**storage), SampleFrames(4, 2, test_mode=True), PyAVDecode(), FormatShape('NCTHW'), Collect(['imgs', 'label'], meta_keys=[]), ToTensor(['imgs', 'label'])]

def test_a_dataset_in_an_archive_gives_the_same_batches(clips):
    "By two workers, forked after the archive was opened here"
    plain = VideoDataset(clips/'list.txt', pipeline(), data_prefix=clips/'videos')
    packed = VideoDataset(clips/'packed.txt', pipeline(io_backend='zip', fo=str(clips/'videos.zip')))
    same(packed[0], plain[0])
    got, want = (list(DataLoader(ds, batch_size=3, num_workers=n)) for ds,n in ((packed, 2), (plain, 0)))
    same(got, want)
    assert len(os.listdir(clips/'cache'/'files')) == 6

def test_a_missing_member_is_a_video_error_that_names_it(clips):
    (clips/'packed.txt').write_text('train/9.mp4 0\n')
    ds = VideoDataset(clips/'packed.txt', pipeline(io_backend='zip', fo=str(clips/'videos.zip')))
    with pytest.raises(VideoError, match=r'zip://train/9\.mp4::.*there is no train/9\.mp4; did you mean train/'): ds[0]
