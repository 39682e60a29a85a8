"""A video with flipped, zeroed, moved and missing bytes is an error that names it, or as many frames as the reader said: never a hang, a crash or a hunger for memory

`tests/damage.py` makes the damage and reads each file in a process of its own. Cases are the same in every run."""
import json, os, subprocess, sys
from collections import Counter
from pathlib import Path
import av
import numpy as np
import pytest
from damage import KINDS, damage
from vidnb.core.testing import shared_data, test_same as same
from vidnb.video.reader import BACKENDS, available_backends
from vidnb.video.writer import write_video

here = Path(__file__).parent
forks = pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')

@pytest.fixture(scope='module')
def video(tmp_path_factory):
    "The first 60 frames of a real file, its packets as they are: small enough that most cases hit something"
    out = tmp_path_factory.mktemp('damage')/'whole.mp4'
    with av.open(str(shared_data('videos/clean_and_jerk.mp4'))) as src, av.open(str(out), 'w', options={'movflags':'faststart'}) as dst:
        s = src.streams.video[0]
        t = dst.add_stream_from_template(s)
        for p in [p for p in src.demux(s) if p.dts is not None][:60]: p.stream = t; dst.mux(p)
    return out

def run(video, backend, first, last):
    "Rows of `tests/damage.py`: the whole file, then the cases"
    if available_backends()[backend]: pytest.skip(f'{backend} cannot be used here: {available_backends()[backend]}')
    done = subprocess.run([sys.executable, '-W', 'ignore', str(here/'damage.py'), str(video), backend, str(first), str(last)], capture_output=True, text=True, cwd=here.parent, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(l) for l in done.stdout.splitlines()]

def check(rows, n):
    whole, *rows = rows
    same([whole['what'], whole['why']], ['frames', '60 of 340x256'])
    same(len(rows), n)
    bad = [r for r in rows if r['what'] not in ('error', 'frames')]
    assert not bad, f'{len(bad)} of {n}:\n' + '\n'.join(f'case {r["case"]} ({r["kind"]}): {r["what"]}, {r["why"]}' for r in bad)
    hungry = [r for r in rows if r['mb'] > whole['mb'] + 100]
    assert not hungry, f'the whole file takes {whole["mb"]} MB: {hungry}'
    got = Counter(r['what'] for r in rows)
    assert min(got['error'], got['frames']) > n/10, f'damage that is always, or never, noticed tests nothing: {got}'
    return got, max(r['mb'] for r in rows)-whole['mb'], max(r['seconds'] for r in rows)

@forks
@pytest.mark.parametrize('backend', list(BACKENDS))
def test_some_damage(video, backend): check(run(video, backend, 0, 28), 28)

@forks
@pytest.mark.slow
@pytest.mark.parametrize('backend', list(BACKENDS))
def test_300_kinds_of_damage(video, backend, capsys):
    got, mb, s = check(run(video, backend, 0, 300), 300)
    with capsys.disabled(): print(f'\n{backend}: 300 damaged files, {got["error"]} errors, {got["frames"]} read; at most {s:.1f} s and {mb} MB more than the whole file')

def test_cases_are_what_they_say():
    data = bytes(range(256))*40
    for i in range(28):
        kind, a = damage(data, i)
        same(damage(data, i)[1] == a, True)
        assert a != data, f'case {i} ({kind}) damages nothing'
        same(len(a) < len(data), kind == 'cut')
    same(sum(a != b for a,b in zip(damage(data, 0)[1], data)), 1)
    same([damage(data, i)[0] for i in range(7)], list(KINDS))

@forks
def test_the_watch_sees(video, tmp_path, monkeypatch):
    "A reader that hangs, dies, or gives too much is seen"
    import damage as d
    for what,f in dict(hang=lambda *a: __import__('time').sleep(600), crash=lambda *a: os.abort(), wrong=lambda *a: ('wrong', 'x')).items():
        monkeypatch.setattr(d, 'LIMIT', .5 if what == 'hang' else 60.)
        monkeypatch.setattr(d, 'read_all', f)
        same(d.run_case(video.read_bytes(), 0, 'pyav', str(tmp_path))['what'], what)

SOAK = '''
import ctypes, gc, os, sys
import numpy as np
from vidnb.video.reader import open_video
def mb(): return int(open('/proc/self/statm').read().split()[1])*os.sysconf('SC_PAGESIZE')/2**20
def used(): # without what the allocator keeps of memory that was given back to it
    gc.collect()
    if hasattr(ctypes.CDLL(None), 'malloc_trim'): ctypes.CDLL(None).malloc_trim(0)
    return mb()
path, backend, reads = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng, seen = np.random.default_rng(0), []
for k in range(reads):
    with open_video(path, backend) as r:
        i = rng.integers(0, len(r)-8)
        assert r.get_batch(range(i, i+8, 2)).shape == (4, 72, 96, 3)
    if k in (reads//10, reads-1): seen += [mb(), used()]
print(*[round(o, 1) for o in seen])'''

@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists('/proc/self/statm'), reason='memory is read from /proc')
@pytest.mark.parametrize('backend', list(BACKENDS))
def test_thousands_of_reads_cost_no_memory(backend, tmp_path, capsys):
    "Random clips of ten seconds and of half an hour, the file opened for each: memory stays where it is, and the same for both"
    reads, grown, kept = (5000, 5, 10) if backend == 'pyav' else (600, 10, 60) # the others index a long file anew each time it is opened, and are slow
    if available_backends()[backend]: pytest.skip(f'{backend} cannot be used here: {available_backends()[backend]}')
    rng, end = np.random.default_rng(0), {}
    film = rng.integers(0, 256, (100, 6, 8, 3), np.uint8).repeat(12, 1).repeat(12, 2)
    for name,n in (('ten seconds', 100), ('half an hour', 18000)):
        path = write_video(tmp_path/f'{n}.mp4', (film[i % 100] for i in range(n)), fps=10)
        done = subprocess.run([sys.executable, '-W', 'ignore', '-c', SOAK, str(path), backend, str(reads)], capture_output=True, text=True, cwd=here.parent)
        assert done.returncode == 0, done.stderr[-2000:]
        seen = [float(o) for o in done.stdout.split()]
        with capsys.disabled(): print(f'\n{backend}, {name}: {seen[1]:.0f} MB in use after {reads//10} reads, {seen[3]:.0f} after {reads} ({seen[0]:.0f} and {seen[2]:.0f} with what the allocator keeps)')
        assert seen[3]-seen[1] < grown and seen[2]-seen[0] < kept, f'{name}: memory grows: {seen}'
        end[name] = seen[3]
    assert end['half an hour']-end['ten seconds'] < 40, end
