"""From long videos to official figures: extraction that is killed, sharded and misused, loaders, a learner, a file to send, the command line."""
import json, os, signal, subprocess, sys, time
import numpy as np
import pytest
import torch
from checkout import root
from vidnb.cli import main
from vidnb.learn.features import clip_encoder, extract_features
from vidnb.learn.localizer import load_localizer, localizer_learner
from vidnb.loading.feature_files import FeatureFiles
from vidnb.loading.localization_loaders import LocalizationDataLoaders
from vidnb.localization.anchor_free import actionformer_tiny
from vidnb.localization.bmn import bmn_anet
from vidnb.models.recognizers import tiny3d
from vidnb.video.synth_untrimmed import synth_untrimmed

CLASSES = ('left', 'grow')
OPTIONS = ['--layer', 'backbone', 'probs', '--classes', '2', '--clip-len', '4', '--frame-interval', '2', '--size', '32', '--stride', '8']

@pytest.fixture(scope='module')
def films(tmp_path_factory):
    "Six long videos with their truth, and the weights of a recogniser"
    d = tmp_path_factory.mktemp('films')
    synth_untrimmed(d/'set', n_train=4, n_valid=2, classes=CLASSES, size=32, seconds=(9, 12))
    torch.manual_seed(0)
    torch.save(tiny3d(2).state_dict(), d/'tiny.pth')
    return d

def encoder(films): return clip_encoder('tiny3d', films/'tiny.pth', ['backbone', 'probs'], n_out=2, clip_len=4, frame_interval=2, size=32)

@pytest.fixture(scope='module')
def features(films):
    "Their features, made in this process"
    table = extract_features(films/'set'/'videos', films/'features', encoder(films), stride=8)
    assert list(table.status) == ['made']*6
    return films/'features'

def command(films, out, *more): return ['extract-features', str(films/'set'/'videos'), '--model', 'tiny3d', '--weights', str(films/'tiny.pth'), '--out', str(out), *OPTIONS, *map(str, more)]

def names(folder): return sorted(p.stem for p in folder.glob('*.npy'))

def same(a, b):
    "Do two folders hold the same features?"
    assert names(a) == names(b) and len(names(a)) == 6
    for n in names(a):
        np.testing.assert_allclose(np.load(a/f'{n}.npy'), np.load(b/f'{n}.npy'), atol=1e-4)
        x, y = (json.loads((d/f'{n}.json').read_text()) for d in (a, b))
        assert x == y and x['step'] == .5 and x['offset'] == .25

def test_command_line_gives_the_same(films, features, tmp_path, capsys):
    assert main(command(films, tmp_path/'out', '--npz', tmp_path/'all.npz')) == 0
    assert capsys.readouterr().out.startswith('6 made, 0 kept, 0 broken')
    same(features, tmp_path/'out')
    packed = FeatureFiles(tmp_path/'all.npz')
    for n in names(features): np.testing.assert_array_equal(packed.read(n), np.load(tmp_path/'out'/f'{n}.npy'))

def test_goes_on_after_a_kill(films, features, tmp_path):
    "Killed without a chance to clean up, as soon as one video is done; the second run makes the rest and nothing twice"
    out = tmp_path/'out'
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(root), os.environ.get('PYTHONPATH', '')]))
    p = subprocess.Popen([sys.executable, '-m', 'vidnb', *command(films, out)], env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 240
    while not list(out.glob('v_*.json')) and p.poll() is None and time.monotonic() < limit: time.sleep(.002)
    p.send_signal(signal.SIGKILL)
    p.wait()
    done = {f: f.stat().st_mtime_ns for f in out.glob('v_*.json')}
    assert 1 <= len(done), p.stderr.read()[-2000:]
    for f in done: np.load(f.with_suffix('.npy'))   # what has its json is whole
    table = extract_features(films/'set'/'videos', out, encoder(films), stride=8)
    assert (table.status == 'kept').sum() == len(done) and not (table.status == 'broken').any()
    assert {f: f.stat().st_mtime_ns for f in done} == done
    same(features, out)

def test_shards_do_everything_once(films, features, tmp_path, capsys):
    out = tmp_path/'out'
    for k in range(4): assert main(command(films, out, '--shard', f'{k}/4')) == 0
    said = capsys.readouterr().out.splitlines()
    assert [s.split(',')[:2] for s in said] == [['2 made', ' 0 kept'], ['2 made', ' 0 kept'], ['1 made', ' 0 kept'], ['1 made', ' 0 kept']]
    same(features, out)

def test_processes_give_the_same(films, features, tmp_path):
    extract_features(films/'set'/'videos', tmp_path/'out', encoder(films), stride=8, num_workers=2)
    same(features, tmp_path/'out')

def test_a_broken_video_is_named_and_the_others_made(films, tmp_path, capsys):
    (tmp_path/'v').mkdir()
    whole = next((films/'set'/'videos').glob('*.mp4')).read_bytes()
    (tmp_path/'v'/'good.mp4').write_bytes(whole)
    (tmp_path/'v'/'cut.mp4').write_bytes(whole[:200])
    cmd = [str(tmp_path/'v') if a == str(films/'set'/'videos') else a for a in command(films, tmp_path/'out')]
    assert main(cmd) == 1
    out, err = capsys.readouterr()
    assert out.startswith('1 made, 0 kept, 1 broken') and 'cut.mp4' in err and 'good.mp4' not in err
    assert names(tmp_path/'out') == ['good']
    assert main(cmd[:cmd.index('--stride')] + ['--stride', '4']) == 1   # other settings
    assert 'was made with stride=8, not 4' in capsys.readouterr().err

@pytest.mark.parametrize('arch, kw, load', [(actionformer_tiny, dict(dim=16, levels=3), {}),
    (bmn_anet, dict(hidden_dim_1d=16, hidden_dim_2d=8, hidden_dim_3d=16, num_samples=4), dict(rows=16, score_classes=list(CLASSES)))], ids=['anchor free', 'bmn'])
def test_from_features_to_official_figures(films, features, tmp_path, capsys, arch, kw, load):
    truth = films/'set'/'activitynet.json'
    dls = LocalizationDataLoaders.from_features(truth, features, bs=2, path=tmp_path, device='cpu', **load)
    torch.manual_seed(0)
    learn = localizer_learner(dls, arch, arch_kw=kw, encoder=encoder(films))
    before = [p.detach().clone() for p in learn.model.parameters()]
    learn.fit_one_cycle(2, 3e-3)
    assert all(not torch.equal(a, b) for a,b in zip(before, learn.model.parameters()))
    found = learn.find()
    figures = dls.evaluate(found)
    assert figures['mAP'] == pytest.approx(learn.recorder.values[-1][-1], abs=1e-6)
    pred = dls.valid_ds.records.dump_results(found, tmp_path/'found.json', 'json')
    assert main(['eval', 'tal', '--truth', str(truth), '--pred', str(pred), '--subset', 'validation']) == 0
    from vidnb.localization.tal_report import read_tal, tal_report, tal_text
    data = read_tal(truth, pred, subset='validation')
    assert capsys.readouterr().out.strip().endswith(tal_text(data, tal_report(data)).strip()[-300:])
    film = films/'set'/'videos'/'v_valid_001.mp4'
    table = load_localizer(learn.export()).localize(film, min_score=0).table
    want = next(r for r in found if r['video_name'] == 'v_valid_001')['proposal_list'][:20]
    np.testing.assert_allclose(table[['start', 'end']], [p['segment'] for p in want], atol=1e-3)
    assert list(table.label) == [p['label'] for p in want]

def test_an_exported_file_runs_no_code(films, features, tmp_path):
    dls = LocalizationDataLoaders.from_features(films/'set'/'activitynet.json', features, bs=2, path=tmp_path, device='cpu')
    fn = localizer_learner(dls, actionformer_tiny, arch_kw=dict(dim=16), encoder=encoder(films)).export()
    torch.load(fn, weights_only=True)
    fn.write_bytes(fn.read_bytes()[:1000])
    with pytest.raises(ValueError, match='is not a localiser exported by vidnb'): load_localizer(fn)

def test_truth_that_is_cut_short(films, features, tmp_path):
    fn = tmp_path/'truth.json'
    fn.write_text((films/'set'/'activitynet.json').read_text()[:-40])
    with pytest.raises(ValueError, match=r'truth.json:\d+: no json, or cut short'): LocalizationDataLoaders.from_features(fn, features)

def test_features_of_another_recogniser(films, features, tmp_path):
    dls = LocalizationDataLoaders.from_features(films/'set'/'activitynet.json', features, bs=2, path=tmp_path, device='cpu')
    torch.manual_seed(1)   # a network made from the chance that all tests begin with would be that of the features again
    torch.save(tiny3d(2).state_dict(), tmp_path/'other.pth')
    other = clip_encoder('tiny3d', tmp_path/'other.pth', ['backbone', 'probs'], n_out=2, clip_len=4, frame_interval=2, size=32)
    with pytest.raises(ValueError, match='were made with weights='): localizer_learner(dls, actionformer_tiny, encoder=other)

def test_videos_without_actions(films, features, tmp_path):
    "They train and validate, and make no figure NaN"
    db = json.loads((films/'set'/'activitynet.json').read_text())
    for k in ('train_000', 'valid_000'): db['database'][k]['annotations'] = []
    (tmp_path/'truth.json').write_text(json.dumps(db))
    for kw in ({}, dict(rows=16, score_classes=list(CLASSES))):
        dls = LocalizationDataLoaders.from_features(tmp_path/'truth.json', features, bs=1, path=tmp_path, device='cpu', **kw)
        arch = (bmn_anet, dict(hidden_dim_1d=16, hidden_dim_2d=8, hidden_dim_3d=16, num_samples=4)) if kw else (actionformer_tiny, dict(dim=16))
        learn = localizer_learner(dls, arch[0], arch_kw=arch[1])
        learn.fit(1, 1e-3)
        assert all(np.isfinite(float(v)) for v in learn.recorder.values[-1])
