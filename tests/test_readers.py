"""Every reader gives the same frames of every real file; where one cannot, the table below says why and the test holds it to that"""
import multiprocessing as mp
import pickle
import subprocess
import sys
import threading
import time
import av
import numpy as np
import pytest
from vidnb.core.testing import expect_error, shared_data, test_same as same
from vidnb.video.index import VideoError, scan_video
from vidnb.video.reader import BACKENDS, available_backends, open_video, video_files
from vidnb.video.rawframes import FramesReader

# file: frames, height, width, frames per second
VIDEOS = {
    'videos/archery_paddlevideo_example.avi':            (131, 240, 320, 25),
    'videos/arm_wrestling_mmaction2_demo.mp4':           (280, 256, 340, 28),
    'videos/big_buck_bunny_432_433_vp8.webm':            (24, 720, 1280, 24),
    'videos/bikes.mp4':                                  (250, 272, 640, 25),
    'videos/carphone_pristine.mp4':                      (120, 144, 176, 30000/1001),
    'videos/clean_and_jerk.mp4':                         (300, 256, 340, 30000/1001),
    'videos/flipping_a_pancake.mkv':                     (310, 240, 426, 30),
    'videos/keyboard_video_0.mov':                       (3, 320, 568, 30),
    'videos/keyboard_video_90.mov':                      (3, 568, 320, 30),
    'videos/laughing_YABnJL_bDzw.mp4':                   (302, 256, 454, 25),
    'videos/mot_crowd_mmtracking_demo.mp4':              (8, 1080, 1920, 3),
    'videos/nasa_13013_two_video_two_audio.mp4':         (390, 270, 480, 30000/1001),
    'videos/pigs_in_a_polka.gif':                        (30, 273, 314, 10),
    'videos/playing_guitar.mp4':                         (300, 320, 470, 30),
    'videos/rotated180_vfr_fire2.mp4':                   (25, 720, 1280, 750000/71393),
    'videos/v_ApplyEyeMakeup_g01_c01.avi':               (164, 240, 320, 25),
    'videos/vertical_skateboarding_dog.mp4':             (421, 1024, 576, 30000/1001),
    'videos/vtest_pedestrians.avi':                      (795, 576, 768, 10),
    'videos/yoga.mp4':                                   (300, 320, 568, 30),
    'odd_media/av1_video.mkv':                           (125, 360, 640, 25),
    'odd_media/h264_white_frame_sar_16_9.mp4':           (1, 480, 640, 25),
    'odd_media/h265_video.mp4':                          (10, 128, 128, 10),
    'odd_media/minimal.mp4':                             (1, 240, 320, 25),
    'odd_media/one_pixel_bitmap.mp4':                    (5, 1, 1, 1),
    'odd_media/video_rotation_90.mp4':                   (1, 100, 60, 24),
}
# files that are no readable video: the reason that every reader gives
BROKEN = {
    'odd_media/audio_only_opus_init.mp4': 'has no video stream, only sound',
    'odd_media/chunk_out_of_range.mp4':   'is not a video that FFmpeg can open',
    'odd_media/empty_result.webm':        'is empty (0 bytes)',
    'odd_media/short-cenc.mp4':           'is encrypted',
    'odd_media/zero_empty_stsc.mp4':      'is damaged: 2 frames are left of 1040',
}
# (backend, file): what it says instead of giving frames
CANNOT = {
    ('torchcodec', 'videos/v_ApplyEyeMakeup_g01_c01.avi'):   'finds frames by time stamp, and this file has AVI with B-frames',
    ('decord', 'videos/pigs_in_a_polka.gif'):                'decord cannot open it',
    ('decord', 'odd_media/av1_video.mkv'):                   'decord cannot open it',          # its FFmpeg has no AV1
    ('decord', 'odd_media/one_pixel_bitmap.mp4'):            'frames',                         # rows are padded to 32 pixels and more
    ('opencv', 'odd_media/av1_video.mkv'):                   'does not decode with OpenCV (libdav1d)', # no AV1 decoder in its wheel
    ('opencv', 'videos/nasa_13013_two_video_two_audio.mp4'): 'OpenCV reads only the first',
}

@pytest.fixture(scope='module')
def usable():
    return {b for b,why in available_backends().items() if not why}

def need(backend, usable):
    if backend not in usable: pytest.skip(f'{backend} cannot be used here: {available_backends()[backend]}')

def asked(n):
    "Batches to read: the last first, spread out, backwards over the middle, shuffled with repeats and the first, a run"
    if n <= 12: return [[i] for i in range(n)] + [list(range(n)), [n-1, 0, 0]]
    some = np.random.default_rng(n).integers(0, n, 6).tolist()
    return [[n-1], sorted(some[:3]), list(range(n//2, max(n//2-3, -1), -1)), [some[4], 0, some[5], 0], list(range(n//3, min(n, n//3+5)))]

_truth = {}
def truth(name):
    "Frames that `asked` wants of a file and the times of all, by decoding from the start with nothing but PyAV"
    if name not in _truth:
        frames, times, want = {}, [], set(sum(asked(VIDEOS[name][0]), []))
        with av.open(str(shared_data(name))) as c:
            s = c.streams.best('video')
            s.codec_context.thread_count = 1
            for i,f in enumerate(c.decode(s)):
                times.append(f.time)
                if i in want: frames[i] = np.rot90(f.to_ndarray(format='rgb24'), round(f.rotation/90) % 4)
        _truth.clear(); _truth[name] = frames, times
    return _truth[name]

@pytest.mark.parametrize('backend', list(BACKENDS))
@pytest.mark.parametrize('name', VIDEOS)
def test_every_reader_gives_the_same_frames(name, backend, usable):
    need(backend, usable)
    path = shared_data(name)
    if (backend, name) in CANNOT:
        with expect_error(VideoError, CANNOT[backend, name]): open_video(path, backend).get_batch([0, 1])
        return
    frames, times = truth(name)
    n, h, w, fps = VIDEOS[name]
    with open_video(path, backend) as r:
        same([len(r), r.height, r.width], [n, h, w])
        same(r.fps, float(fps), eps=1e-6)
        if all(a < b for a,b in zip(times, times[1:])): same(r.timestamps, np.array(times, float), eps=1e-6)
        else: same(r.timestamps, np.arange(n)/fps, eps=1e-9)
        for want in asked(n):
            got = r.get_batch(want)
            assert got.shape == (len(want), h, w, 3) and got.dtype == np.uint8
            for i,a in zip(want, got): assert np.abs(a.astype(np.int16)-frames[i]).mean() <= 2, f'{backend}: frame {i} of {name} is another'
        for beyond in ([n], [0, -1], [10**9]):
            with expect_error(VideoError, f'{path}: frame {beyond[-1]} was asked for and there are {n}'): r.get_batch(beyond)

def test_tables_name_every_file():
    "A file added to the shared folder is tested or listed"
    here = {f'{d}/{p.name}' for d in ('videos', 'odd_media') for p in shared_data(d).iterdir()}
    same(sorted(here), sorted([*VIDEOS, *BROKEN, 'odd_media/corrupted.mp4']))
    assert all(name in VIDEOS and backend in BACKENDS for backend,name in CANNOT)

@pytest.mark.parametrize('backend', [*BACKENDS, None])
@pytest.mark.parametrize('name', BROKEN)
def test_broken_files_say_why(name, backend, usable):
    if backend: need(backend, usable)
    path = shared_data(name)
    with expect_error(VideoError, f'{path}: {BROKEN[name]}'): open_video(path, backend)

# files with a trap, written here: (name, codec, bits, encoder options); who refuses them and why
TRAPS = [
    ('open_gop.mkv',  'libx264',    {'x264-params':'open-gop=1:keyint=20:bframes=3:log=0'}, {}),
    ('refresh.mp4',   'libx264',    {'x264-params':'intra-refresh=1:keyint=20:log=0'}, {'torchcodec':'marked as keyframes'}),
    ('hevc.mp4',      'libx265',    {'x265-params':'keyint=20:bframes=3:log-level=none'}, {}),
    ('hidden.webm',   'libvpx',     {'auto-alt-ref':'1', 'lag-in-frames':'16', 'g':'30', 'b':'200k'}, {}),
    ('b_frames.avi',  'mpeg4',      {'bf':'2', 'g':'20'}, {'torchcodec':'finds frames by time stamp'}),
    ('b_frames.mp4',  'mpeg4',      {'bf':'2', 'g':'20'}, {}),
    ('stream.ts',     'libx264',    {'g':'20', 'x264-params':'log=0'}, {'torchcodec':'transport', 'decord':'transport stream'}),
    ('program.mpg',   'mpeg2video', {'bf':'2', 'g':'20'}, {'torchcodec':'program stream'}),
    ('windows.wmv',   'wmv2',       {'g':'20'}, {}),
]
@pytest.mark.parametrize('name, codec, options, refused', TRAPS, ids=[t[0] for t in TRAPS])
def test_traps(name, codec, options, refused, usable, tmp_path):
    "Every frame alone, in shuffled order, by every reader"
    y, x = np.mgrid[:96, :128]
    with av.open(str(tmp_path/name), 'w') as c:
        try: s = c.add_stream(codec, rate=25, options=options)
        except av.codec.codec.UnknownCodecError: pytest.skip(f'this PyAV cannot write {codec}')
        s.width,s.height,s.pix_fmt = 128,96,'yuv420p'
        for i in range(70): c.mux(s.encode(av.VideoFrame.from_ndarray(np.stack([(x*3+i*5) % 256, (y*2+x+i*9) % 256, np.full_like(x, i*3)], -1).astype(np.uint8), format='rgb24')))
        c.mux(s.encode())
    with av.open(str(tmp_path/name)) as c: true = [f.to_ndarray(format='rgb24').astype(int) for f in c.decode(video=0)]
    for backend in usable:
        if backend in refused:
            with expect_error(VideoError, refused[backend]):
                with open_video(tmp_path/name, backend) as r: [r.get_batch([i]) for i in range(len(r))]
            continue
        with open_video(tmp_path/name, backend) as r:
            same(len(r), len(true))
            for i in np.random.default_rng(0).permutation(len(r))[:40]: assert np.abs(r.get_batch([i])[0]-true[i]).mean() <= 2, f'{backend}: frame {i}'
            same(np.abs(r.get_batch(range(len(r)))-np.stack(true)).mean((1, 2, 3)).max() <= 2, True)

@pytest.mark.parametrize('backend', list(BACKENDS))
def test_damage_inside(backend, usable):
    "50 frames are declared and packets for 50 are there, 28 decode: those come, the others are errors, in every order of asking"
    need(backend, usable)
    path = shared_data('odd_media/corrupted.mp4')
    sure = 17 if backend == 'decord' else 28 # decord gives up earlier, it has decoded ahead
    good = open_video(path, 'pyav').get_batch(range(28))
    with open_video(path, backend) as r:
        same(len(r), 50)
        for want in ([49], [28], list(range(40)), [0, 30]):
            with expect_error(VideoError, 'not decode'): r.get_batch(want)
        for want in ([0], [sure-1], [3, 2, 9]): same(np.abs(r.get_batch(want).astype(int)-good[want]).mean() <= 2, True)
    assert good.std((1, 2, 3)).min() > 20 # pictures, not grey

@pytest.mark.parametrize('backend', [*BACKENDS, None])
def test_what_is_no_video(backend, usable, tmp_path):
    if backend: need(backend, usable)
    (tmp_path/'text.mp4').write_text('a line of text\n'*200)
    (tmp_path/'zero.mp4').write_bytes(b'')
    (tmp_path/'noise.mkv').write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path/'folder').mkdir()
    for name,why in (('text.mp4', 'is not a video'), ('zero.mp4', 'is empty'), ('noise.mkv', 'is not a video'), ('gone.mp4', 'does not exist'), ('folder', 'has no numbered frames')):
        with expect_error(VideoError, f'{tmp_path/name}: {why}'): open_video(tmp_path/name, backend)

CUTS = ['videos/arm_wrestling_mmaction2_demo.mp4', 'videos/vertical_skateboarding_dog.mp4', 'videos/archery_paddlevideo_example.avi', 'videos/v_ApplyEyeMakeup_g01_c01.avi',
        'videos/flipping_a_pancake.mkv', 'videos/big_buck_bunny_432_433_vp8.webm', 'videos/pigs_in_a_polka.gif', 'videos/rotated180_vfr_fire2.mp4', 'odd_media/av1_video.mkv']
@pytest.mark.parametrize('share', [.02, .3, .7, .97])
@pytest.mark.parametrize('name', CUTS)
def test_cut_files(name, share, tmp_path):
    "A download that broke off"
    data, path = shared_data(name).read_bytes(), tmp_path/name.split('/')[1]
    path.write_bytes(data[:int(len(data)*share)])
    with pytest.raises(VideoError) as e: open_video(path)
    assert str(path) in str(e.value) and e.value.reason
    same(str(pickle.loads(pickle.dumps(e.value))), str(e.value))

@pytest.mark.parametrize('backend', list(BACKENDS))
def test_zeroed_bytes_inside(backend, usable, tmp_path):
    "A hole of zeros: before it the frames are right, and what does not decode is an error"
    need(backend, usable)
    src = shared_data('videos/arm_wrestling_mmaction2_demo.mp4')
    data, path = bytearray(src.read_bytes()), tmp_path/'hole.mp4'
    a = int(len(data)*.6); data[a:a+20000] = bytes(20000)
    path.write_bytes(data)
    whole = open_video(src, 'pyav').get_batch([0, 60, 120])
    with open_video(path, backend) as r:
        same(np.abs(r.get_batch([0, 60, 120]).astype(int)-whole).mean() <= 2, True)
        with expect_error(VideoError, 'not decode'): r.get_batch(range(len(r)))

@pytest.mark.parametrize('folder, n, size, tmpl, start', [
    ('rawframes/ucf_like_imgs', 10, (240, 320), 'img_{:05d}.jpg', 1), ('sot/OTB/Football1/img', 81, (288, 352), '{:04d}.jpg', 1), ('sot/vot15_bag/imgs', 196, (360, 480), '{:08d}.jpg', 1),
    ('mot/MOT17-mini/MOT17-02-FRCNN/img1', 4, (1080, 1920), '{:06d}.jpg', 1), ('vos/DAVIS/JPEGImages/480p/car-shadow', 40, (480, 854), '{:05d}.jpg', 0)])
def test_folders_of_frames(folder, n, size, tmpl, start):
    path = shared_data(folder)
    r = open_video(path)
    same([len(r), r.height, r.width, r.filename_tmpl, r.start_index], [n, *size, tmpl, start])
    from PIL import Image
    for i in (0, n-1):
        pil = np.asarray(Image.open(path/tmpl.format(i+start)).convert('RGB')).astype(int)
        assert np.abs(r.get_batch([i])[0]-pil).mean() < 1, 'colours or order'
    with expect_error(VideoError, f'there are {n}'): r.get_batch([n])

def test_flow():
    r = FramesReader(shared_data('rawframes/ucf_like_imgs'), '{}_{:05d}.jpg', modality='Flow')
    from PIL import Image
    a = r.get_batch([2])
    same(a.shape, (1, 240, 320, 2))
    for k,c in enumerate('xy'): assert np.abs(a[0, ..., k].astype(int)-np.asarray(Image.open(f'{r.path}/{c}_00003.jpg').convert('L'))).mean() < 1
    twin = pickle.loads(pickle.dumps(r))
    same(twin.get_batch([2]), a)

def _in_child(r, want, q): q.put((r.get_batch(want), len(r)))

@pytest.mark.parametrize('backend', list(BACKENDS))
def test_in_worker_processes(backend, usable):
    "A reader that has been used here is used in two forked processes, and here again"
    need(backend, usable)
    if 'fork' not in mp.get_all_start_methods(): pytest.skip('no fork on this system')
    r, ctx = open_video(shared_data('videos/bikes.mp4'), backend), mp.get_context('fork')
    want = [200, 3, 120]
    here, q = r.get_batch(want), ctx.Queue()
    children = [ctx.Process(target=_in_child, args=(r, want, q)) for _ in range(2)]
    for c in children: c.start()
    for _ in children: same(q.get(timeout=300)[0], here)
    for c in children: c.join(300); same(c.exitcode, 0)
    same(r.get_batch(want), here)
    with pickle.loads(pickle.dumps(r)) as twin: same(twin.get_batch(want), here)

def test_default_works_with_pyav_alone():
    "With decord, torchcodec and OpenCV gone, files open, and asking for them says what is missing"
    code = f'''
import sys
for m in ("decord", "torchcodec", "cv2"): sys.modules[m] = None
from vidnb.video.index import *
from vidnb.video.reader import *
assert "torch" not in sys.modules
why = available_backends()
assert why["pyav"] is None and all(why[b] for b in ("decord", "torchcodec", "opencv")), why
assert open_video({str(shared_data('videos/yoga.mp4'))!r}).get_batch([299]).shape == (1, 320, 568, 3)
try: open_video("x.mp4", "decord")
except ValueError as e: assert "cannot be used here" in str(e), e
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

def test_passes_on_what_one_refuses(monkeypatch):
    "Without a name, a file that the first reader refuses is opened by the next"
    from vidnb.video import reader
    monkeypatch.setattr(reader, 'BACKENDS', {k:BACKENDS[k] for k in ('opencv', 'pyav')})
    same(open_video(shared_data('videos/nasa_13013_two_video_two_audio.mp4')).backend, 'pyav')
    same(open_video(shared_data('videos/yoga.mp4')).backend, 'opencv')

def test_memory_stays_flat():
    "Three frames of a long film do not cost the film"
    import tracemalloc
    r = open_video(shared_data('videos/vtest_pedestrians.avi'), 'pyav')
    tracemalloc.start(); r.get_batch([0, 400, 794]); peak = tracemalloc.get_traced_memory()[1]; tracemalloc.stop()
    assert peak < 12*576*768*3, peak

def test_video_files():
    same(len(video_files(shared_data('videos'))), 19)
    with expect_error(ValueError, "no backend 'ffmpeg'"): open_video('a.mp4', 'ffmpeg')

def test_video_files_beside_a_run_that_renames_folders(tmp_path):
    "As extraction does it with what is finished"
    begun, there, enough, rounds = tmp_path/'.clip-0', tmp_path/'clip', threading.Event(), []
    (tmp_path/'a').mkdir(); (tmp_path/'a'/'x.mp4').touch(); (tmp_path/'link.mp4').symlink_to(tmp_path/'a'/'x.mp4')
    def work():
        while not enough.is_set():
            rounds.append(0)
            begun.mkdir(); begun.rename(there); there.rmdir()
    other, looks, until = threading.Thread(target=work, daemon=True), 0, time.monotonic()+60
    other.start()
    try:
        while min(looks, len(rounds)) < 2000 and time.monotonic() < until:
            looks += 1
            same([p.relative_to(tmp_path).as_posix() for p in video_files(tmp_path)], ['a/x.mp4', 'link.mp4'])
    finally: enough.set(); other.join()
    assert min(looks, len(rounds)) > 100
