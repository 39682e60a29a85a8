"Untrimmed synthetic videos on disk: the same everywhere, whole or absent, and readable by the datasets of localisation."
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
import numpy as np
import pytest
from vidnb.core.testing import test_same as same
from vidnb.datasets.activitynet import ActivityNetDataset, read_videos
from vidnb.datasets.ssn import SSNDataset
from vidnb.datasets.ssn_proposals import match_proposals
from vidnb.localization.proposals import write_localize_proposal_file
from vidnb.transforms.localization import GenerateLocalizationLabels
from vidnb.video.reader import open_video
from vidnb.video.synth import MOTIONS
from vidnb.video.synth_untrimmed import synth_untrimmed

small = dict(n_train=4, n_valid=2, size=32, seconds=(8, 12))

def start(path):
    "A process of its own that makes a set in `path`"
    return subprocess.Popen([sys.executable, '-c', f'from vidnb.video.synth_untrimmed import synth_untrimmed; synth_untrimmed({str(path)!r}, **{small})'], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

def digests(path):
    "What every visible file below `path` holds"
    return {o.relative_to(path).as_posix(): hashlib.sha1(o.read_bytes()).hexdigest() for o in sorted(Path(path).rglob('*')) if o.is_file() and not o.name.startswith('.')}

@pytest.fixture(scope='module')
def made(tmp_path_factory): return synth_untrimmed(tmp_path_factory.mktemp('long'), **small)

def test_two_processes_make_one_set(made, tmp_path):
    procs = [start(tmp_path/'set') for _ in range(2)]
    for p in procs: assert p.wait(300) == 0, p.stderr.read()
    same(digests(tmp_path/'set'), digests(made))
    assert not [o for o in (tmp_path/'set').rglob('.*') if o.is_file()]

def test_a_killed_process_leaves_whole_videos(made, tmp_path):
    p, until = start(tmp_path/'set'), time.monotonic()+300
    while not list((tmp_path/'set'/'videos').glob('v_*.mp4')) and p.poll() is None and time.monotonic() < until: time.sleep(.005)
    p.send_signal(signal.SIGKILL); p.wait()
    for o in (tmp_path/'set'/'videos').glob('v_*.mp4'):
        assert o.read_bytes() == (made/'videos'/o.name).read_bytes()
    synth_untrimmed(tmp_path/'set', **small)
    same(digests(tmp_path/'set'), digests(made))

def test_seed_and_cache(made, tmp_path, monkeypatch):
    monkeypatch.setenv('VIDNB_CACHE', str(tmp_path))
    one = synth_untrimmed(**small)
    assert tmp_path in one.parents and synth_untrimmed(**small) == one and synth_untrimmed(**{**small, 'n_valid': 1}) != one
    same(digests(one), digests(made))
    other = synth_untrimmed(**small, seed=1)
    assert not set(digests(one).values()) & {v for k,v in digests(other).items() if k != 'classes.txt'}

def test_datasets_read_it(made):
    sets = [ActivityNetDataset(made/f'{s}.json', [GenerateLocalizationLabels()], made/'videos', classes=made/'classes.txt') for s in ('train', 'valid')]
    same([len(d) for d in sets], [4, 2])
    for d,subset in zip(sets, ('training', 'validation')):
        official = {v['video_name']: v for v in read_videos(made/'activitynet.json', subset, classes=MOTIONS)}
        same(list(official), [v['video_name'] for v in d.video_infos])
        for i,v in enumerate(d.video_infos):
            same((official[v['video_name']]['annotations'], official[v['video_name']]['duration_second']), (v['annotations'], v['duration_second']))
            same(d[i]['gt_bbox']*v['duration_second'], np.array([a['segment'] for a in v['annotations']]), eps=1e-9)
            with open_video(made/'videos'/f'{v["video_name"]}.mp4', 'pyav') as r: same((len(r), r.fps), (v['duration_frame'], v['fps']))

def test_as_proposals(made, tmp_path):
    "Windows over the videos as a proposal file, whose whole actions are found again by the seconds of the truth"
    infos, records = json.loads((made/'train.json').read_text()), []
    for name,v in infos.items():
        n, gts, labels = v['duration_frame'], [[round(x*16) for x in a['segment']] for a in v['annotations']], [1+MOTIONS.index(a['label']) for a in v['annotations']]
        windows = [[s, s+l] for l in (24, 48, 96) for s in range(0, n-l+1, l//4)]
        records.append((name, n, [[c, *g] for c,g in zip(labels, gts)], match_proposals(windows, gts, labels)))
    write_localize_proposal_file(tmp_path/'list.txt', records)
    ds = SSNDataset(tmp_path/'list.txt', [], None, None, tmp_path)
    same(len(ds), 4)
    same({k: {v: [[round(x*infos[v]['duration_frame']/16, 4) for x in s] for s in spans] for v,spans in by.items()} for k,by in ds.get_all_gts().items()},
         {c: {v: [[round(x, 4) for x in a['segment']] for a in i['annotations'] if a['label'] == MOTIONS[c]] for v,i in infos.items() if any(a['label'] == MOTIONS[c] for a in i['annotations'])} for c in range(8) if any(a['label'] == MOTIONS[c] for i in infos.values() for a in i['annotations'])})
    assert min(len(ds.positive_pool), len(ds.incomplete_pool), len(ds.background_pool)) > 0
    got = ds[0]
    same(got['proposal_type'], np.array([0] + [1]*6 + [2]))
    assert set(got['proposal_labels'][:7].tolist()) <= {1+MOTIONS.index(a['label']) for i in infos.values() for a in i['annotations']} and got['proposal_labels'][7] == 0
