"""Synthetic videos on disk: the same everywhere, whatever happens while they are made."""
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
import numpy as np
import pytest
from vidnb.video.reader import open_video, video_files
from vidnb.video.synth import MOTIONS, action_scene, render, synth_actions, video_seed

small = dict(n_per_class=4, n_valid=2, size=48, n_frames=8)
n_files = len(MOTIONS)*6

def start(path, before='', **kwargs):
    "A process of its own that makes a set in `path`"
    return subprocess.Popen([sys.executable, '-c', before + f'from vidnb.video.synth import synth_actions; synth_actions({str(path)!r}, **{kwargs})'],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

def finish(p):
    "Its output, after it ended well"
    out, err = p.communicate(timeout=300)
    assert p.returncode == 0, err
    return out

def digests(path):
    "What every visible file below `path` holds"
    return {o.relative_to(path).as_posix(): hashlib.sha1(o.read_bytes()).hexdigest() for o in sorted(Path(path).rglob('*')) if o.is_file() and not o.name.startswith('.')}

def hidden(path): return [o for o in Path(path).rglob('.*') if o.is_file()]

def wait_for(path, n, p):
    "Wait until `p` has made `n` videos"
    until = time.monotonic()+300
    while len(video_files(path)) < n:
        assert p.poll() is None, 'ended before it could be interrupted: ' + p.stderr.read()
        assert time.monotonic() < until, 'made no videos within five minutes'
        time.sleep(.005)

@pytest.fixture(scope='module')
def reference(tmp_path_factory):
    "A set made without disturbance, in this process"
    return synth_actions(tmp_path_factory.mktemp('synth')/'reference', **small)

def test_complete(reference):
    assert len(video_files(reference)) == n_files
    assert not hidden(reference)
    rows = (reference/'labels.csv').read_text().splitlines()
    assert rows[0] == 'path,label,split' and len(rows) == 1+n_files
    for row in rows[1:]:
        path, label, split = row.split(',')
        assert (reference/path).is_file() and path.split('/')[:2] == [split, label]

def test_every_file_decodes_to_its_frames(reference):
    for fn in video_files(reference):
        split, name, i = fn.parts[-3], fn.parts[-2], int(fn.stem)
        with open_video(fn, 'pyav') as v:
            assert (len(v), v.height, v.width, v.fps) == (8, 48, 48, 16)
            frames = v.get_batch(range(8))
        drawn = np.stack([f for f,_ in render(action_scene(name, video_seed(0, split, name, i), 48, 8))])
        error = lambda a, b: np.abs(a.astype(int)-b).mean()
        assert error(frames, drawn) < 14, fn  # a small grainy picture loses much, but less than
        assert error(frames, drawn) < error(frames, drawn[::-1]), fn  # it would by another order

def test_frames_are_the_same_in_another_process():
    code = ('import hashlib\nfrom vidnb.video.synth import *\n'
            'for n in MOTIONS: print(hashlib.sha1(b"".join(f.tobytes()+m.tobytes() for f,m in render(action_scene(n, (7, 1), 64, 6)))).hexdigest())')
    theirs = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, env=dict(os.environ, PYTHONHASHSEED='5')).stdout.split()
    ours = [hashlib.sha1(b''.join(f.tobytes()+m.tobytes() for f,m in render(action_scene(n, (7, 1), 64, 6)))).hexdigest() for n in MOTIONS]
    assert theirs == ours and len(set(ours)) == len(MOTIONS)

def test_two_processes_at_once(reference, tmp_path):
    both = [start(tmp_path/'set', **small) for _ in range(2)]
    for p in both: finish(p)
    assert digests(tmp_path/'set') == digests(reference)
    assert not hidden(tmp_path/'set')

# its end comes in the middle of the sixth video
killed = '''
import os, signal
from vidnb.video import synth
made, write = [], synth.write_video
def some(frames):
    for i,f in enumerate(frames):
        if len(made) == 5 and i == 4: os.kill(os.getpid(), signal.SIGKILL)
        yield f
synth.write_video = lambda fn, frames, *args, **kwargs: made.append(write(fn, some(frames), *args, **kwargs))
'''

@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no SIGKILL')
def test_killed_and_resumed(reference, tmp_path):
    p = start(tmp_path/'set', killed, **small)
    p.communicate(timeout=300)
    done = digests(tmp_path/'set')
    assert p.returncode == -signal.SIGKILL and 'labels.csv' not in done and len(done)-1 == 5
    whole = digests(reference)
    assert all(whole[k] == v for k,v in done.items())  # nothing that is visible is half a file
    before = {o: o.stat().st_mtime_ns for o in video_files(tmp_path/'set')}
    synth_actions(tmp_path/'set', **small)
    assert digests(tmp_path/'set') == whole
    assert all(o.stat().st_mtime_ns == t for o,t in before.items())  # what was there is not made again

@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no SIGINT for one process')
def test_interrupted_leaves_no_trace(tmp_path):
    p = start(tmp_path/'set', **dict(small, n_per_class=40))
    wait_for(tmp_path/'set', 5, p)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=300)
    assert p.returncode != 0 and 'KeyboardInterrupt' in err
    assert not hidden(tmp_path/'set') and 5 <= len(video_files(tmp_path/'set')) < 8*42

def test_cache_folder_is_named_by_the_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv('VIDNB_CACHE', str(tmp_path))
    tiny = dict(n_per_class=1, n_valid=1, classes=('left', 'grow'), size=32, n_frames=3)
    a = synth_actions(**tiny)
    assert a.is_relative_to(tmp_path) and a == synth_actions(**tiny) and len(video_files(a)) == 4
    others = [synth_actions(**{**tiny, **o}) for o in (dict(seed=1), dict(noise=0.), dict(n_frames=4), dict(n_valid=2), dict(classes=('left', 'up')))]
    assert len({a, *others}) == 6
    assert digests(a)['train/left/000.mp4'] != digests(others[0])['train/left/000.mp4']
    assert digests(a)['train/left/000.mp4'] == digests(others[3])['train/left/000.mp4'] == digests(others[4])['train/left/000.mp4']
