"""Preparing and extracting real videos in processes: interrupted, killed, two at once, and what readers see of the results."""
import os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
import pandas as pd
import pytest
from vidnb.core.testing import expect_error, shared_data, test_same
from vidnb.video.extract import decode_flow, extract_flow, extract_frames
from vidnb.video.prepare import prepare_videos, shrunk_size
from vidnb.video.reader import available_backends, open_video, scan_video

backends = [b for b,why in available_backends().items() if not why]
odd = ['rotated180_vfr_fire2.mp4', 'keyboard_video_90.mov', 'vertical_skateboarding_dog.mp4', 'v_ApplyEyeMakeup_g01_c01.avi', 'pigs_in_a_polka.gif',
       'big_buck_bunny_432_433_vp8.webm', 'nasa_13013_two_video_two_audio.mp4', 'carphone_pristine.mp4']
broken = {'audio_only_opus_init.mp4':'has no video stream', 'chunk_out_of_range.mp4':'is not a video', 'corrupted.mp4':'does not decode', 'empty_result.webm':'is empty',
          'short-cenc.mp4':'is encrypted', 'zero_empty_stsc.mp4':'is damaged'}

@pytest.fixture(scope='module')
def copies(tmp_path_factory):
    "Real videos, whole and broken, and their copies with a short side of 96"
    out = tmp_path_factory.mktemp('prepared')/'small'
    files = [shared_data('videos', n) for n in odd] + [shared_data('odd_media', n) for n in broken]
    return out, prepare_videos(files, out, short_side=96, num_workers=2)

def test_copies_have_the_frames_of_their_sources(copies):
    out, table = copies
    for r in table[table.status == 'made'].itertuples():
        src, new = scan_video(r.file), scan_video(r.copy)
        h, w = shrunk_size(src.height, src.width, 96)
        test_same([len(new), new.height, new.width, new.codec, new.turns, new.note], [len(src), h+h%2, w+w%2, 'h264', 0, ''])
        test_same(new.times, src.times, eps=1e-4)
    test_same(list(table.status), ['made']*len(odd) + ['broken']*len(broken))

def test_broken_sources_are_named(copies):
    out, table = copies
    listed = pd.read_csv(out/'broken.csv')
    test_same([os.path.basename(f) for f in listed.file], list(broken))
    for reason,expected in zip(listed.reason, broken.values()): assert expected in reason, reason
    test_same(sorted(p.suffix for p in out.rglob('*') if p.is_file()), ['.csv', '.json'] + ['.mp4']*len(odd))

@pytest.mark.parametrize('backend', backends)
def test_every_reader_reads_the_copies(copies, backend):
    for f in copies[1]['copy'].dropna():
        which = [0, len(scan_video(f))-1, len(scan_video(f))//2]
        with open_video(f, backend) as r, open_video(f, 'pyav') as p: test_same(r.get_batch(which), p.get_batch(which), eps=1)

def test_pictures_stay(copies):
    "Right way up, and at their time: a frame of a copy is more like its own source frame than like another one, a mirror image or a turned one"
    import cv2
    for r in copies[1].dropna(subset='copy').itertuples():
        n = len(scan_video(r.file))
        with open_video(r.file) as a, open_video(r.copy) as b:
            h, w = b.height, b.width
            big, small = a.get_batch([0, n//2]), b.get_batch([0, n//2]).astype(float)
        big = np.stack([cv2.resize(f, (w,h), interpolation=cv2.INTER_AREA) for f in big]).astype(float)
        error = lambda x: np.abs(small-x).mean()
        assert error(big) < 6 and error(big) < .5*min(error(big[:,::-1]), error(big[:,:,::-1]), error(big[:,::-1,::-1])), r.file

script = """
import sys
from vidnb.video.prepare import prepare_videos
from vidnb.video.extract import extract_flow
src, out, kind = sys.argv[1:]
df = prepare_videos(src, out, short_side=64, num_workers=2) if kind == 'prepare' else extract_flow(src, out, short_side=64, num_workers=2)
print(*df.status)
"""
def start(*args): return subprocess.Popen([sys.executable, '-W', 'ignore', '-c', script, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

@pytest.fixture
def clips(tmp_path, request):
    "Six links to one real video, of 300 frames to prepare, of 120 for flow"
    flow = 'flow' in request.node.name
    (tmp_path/'in').mkdir()
    for i in range(6): (tmp_path/'in'/f'{i}.mp4').symlink_to(shared_data('videos', 'carphone_pristine.mp4' if flow else 'clean_and_jerk.mp4'))
    return tmp_path/'in'

def done(out, kind):
    "What is made; `os.walk`, unlike `rglob`, does not mind folders that get another name meanwhile"
    wanted = lambda n: n.endswith('.mp4') and n[0] != '.' if kind == 'prepare' else n == '.flow.json'
    return [Path(d)/n for d,_,files in os.walk(out) for n in files if wanted(n) and not any(o[0] == '.' for o in Path(d).relative_to(out).parts)]

def wait_for(p, out, kind, n=2):
    until = time.monotonic()+300
    while len(done(out, kind)) < n:
        assert p.poll() is None and time.monotonic() < until, p.stderr.read() if p.poll() is not None else 'nothing is made'
        time.sleep(.05)

def leftovers(out): return [p for p in out.rglob('.*') if not p.name.endswith('.json')]

def check_whole(out, kind):
    if kind == 'prepare':
        for p in done(out, kind): test_same(len(scan_video(p)), 300)
    else:
        for p in done(out, kind): test_same(len([o for o in p.parent.iterdir() if o.suffix == '.jpg']), 2*119)

@pytest.mark.parametrize('kind', ['prepare', 'flow'])
def test_interrupted_runs_leave_whole_results_and_go_on(clips, tmp_path, kind):
    out = tmp_path/'out'
    p = start(clips, out, kind)
    wait_for(p, out, kind)
    os.kill(p.pid, signal.SIGINT)  # the parent alone, as a notebook's stop button does
    err = p.communicate(timeout=300)[1]
    assert p.returncode not in (0, None) and 'KeyboardInterrupt' in err, err
    before = {o: o.stat().st_mtime_ns for o in done(out, kind)}
    assert 2 <= len(before) < 6
    test_same(leftovers(out), [])
    check_whole(out, kind)
    p = start(clips, out, kind)
    said, err = p.communicate(timeout=300)
    test_same([p.returncode, said.split().count('kept'), said.split().count('made')], [0, len(before), 6-len(before)])
    test_same({o: o.stat().st_mtime_ns for o in before}, before)
    check_whole(out, kind)

def test_killed_run_goes_on(clips, tmp_path):
    out = tmp_path/'out'
    p = start(clips, out, 'prepare')
    wait_for(p, out, 'prepare')
    os.killpg(p.pid, signal.SIGKILL)
    p.communicate()
    n = len(done(out, 'prepare'))
    check_whole(out, 'prepare')
    p = start(clips, out, 'prepare')
    said = p.communicate(timeout=300)[0].split()
    test_same([p.returncode, said.count('made') + said.count('kept'), said.count('kept') >= n], [0, 6, True])
    check_whole(out, 'prepare')

def test_workers_end_with_their_parent(clips, tmp_path):
    out = tmp_path/'out'
    p = start(clips, out, 'prepare')
    wait_for(p, out, 'prepare', 1)
    os.kill(p.pid, signal.SIGKILL)
    p.communicate()  # returns when the workers, which hold the pipe too, are gone
    assert len(done(out, 'prepare')) < 6
    test_same(leftovers(out), [])

@pytest.mark.parametrize('kind', ['prepare', 'flow'])
def test_two_runs_at_once(clips, tmp_path, kind):
    out = tmp_path/'out'
    both = [start(clips, out, kind)]
    wait_for(both[0], out, kind, 1)   # in step from the first file on, each might make every file before it sees that the other has
    both.append(start(clips, out, kind))
    said, err = zip(*[p.communicate(timeout=400) for p in both])
    assert [p.returncode for p in both] == [0, 0], err
    said = [s.split() for s in said]
    for s in said: test_same([len(s), set(s) <= {'made', 'kept'}], [6, True])
    assert sum(s.count('kept') for s in said) > 0, 'the runs did all the work twice'
    test_same([len(done(out, kind)), leftovers(out)], [6, []])
    check_whole(out, kind)

cleaning = """
import signal, sys, time
from pathlib import Path
from vidnb.video.jobs import run_jobs
folder, how = Path(sys.argv[1]), sys.argv[2]
if how == 'ignored': signal.signal(signal.SIGINT, signal.SIG_IGN)
def slow(job):
    if how == 'ignored' and job[0] == 'b':
        while not (folder/'a').exists(): time.sleep(.01)
        raise TypeError('a mistake')
    (folder/job[0]).touch()
    try: time.sleep(100)
    finally: time.sleep(1.5); (folder/job[0]).unlink()
run_jobs(slow, [('a',), ('b',)], 2)
"""

@pytest.mark.parametrize('how', ['ctrl-c', 'ignored'])
def test_a_worker_cleans_up_undisturbed(tmp_path, how):
    "Though Ctrl-C in a terminal reaches it before its parent interrupts it once more; and though the program ignores SIGINT, as behind `&`"
    p = subprocess.Popen([sys.executable, '-W', 'ignore', '-c', cleaning, str(tmp_path), how], stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic()+300
    while how == 'ctrl-c' and len(list(tmp_path.iterdir())) < 2 and p.poll() is None and time.monotonic() < until: time.sleep(.05)
    if how == 'ctrl-c': os.killpg(p.pid, signal.SIGINT)
    err = p.communicate(timeout=300)[1]
    assert ('KeyboardInterrupt' if how == 'ctrl-c' else 'TypeError: a mistake') in err and err.count('Traceback') == 1, err
    test_same([list(tmp_path.iterdir()) == [], p.returncode != 0], [True, True])

def test_extracted_frames_and_flow_go_through_the_seeds_pipeline(tmp_path):
    from vidnb.datasets.recognition import RawframeDataset
    src = [shared_data('videos', n) for n in ('clean_and_jerk.mp4', 'carphone_pristine.mp4')] + [shared_data('odd_media', 'corrupted.mp4')]
    for make in (extract_frames, extract_flow): test_same(list(make(src, tmp_path, short_side=64, labels=[3, 5, 0], num_workers=2).status), ['made', 'made', 'broken'])
    steps = [dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=1, test_mode=True), dict(type='RawFrameDecode')]
    for ann,modality,tmpl,n in (('frames.csv', 'RGB', 'img_{:05}.jpg', [300, 120]), ('flow.csv', 'Flow', 'flow_{}_{:05d}.jpg', [299, 119])):
        ds = RawframeDataset(tmp_path/ann, steps, data_prefix=tmp_path, test_mode=True, modality=modality, filename_tmpl=tmpl)
        test_same([[o['total_frames'] for o in ds.video_infos], [o['label'] for o in ds.video_infos]], [n, [3, 5]])
        for i,f in enumerate(src[:2]):
            got = ds[i]
            test_same([got['total_frames'], got['label'], len(got['imgs'])], [n[i], [3, 5][i], 4 if modality == 'RGB' else 8])
            if modality == 'Flow': assert np.abs(np.median(decode_flow(np.stack(got['imgs'])))) < .2  # most of the picture stands still

def test_prepared_videos_are_not_made_twice_by_other_names(tmp_path):
    for suffix in ('.mp4', '.mkv'): (tmp_path/f'a{suffix}').write_bytes(b'')
    with expect_error(ValueError, 'would both become'): prepare_videos(tmp_path, tmp_path/'out')
    with expect_error(ValueError, 'would both become'): extract_frames(tmp_path, tmp_path/'out')
