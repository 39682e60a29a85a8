"Reports and converters of tracking from the shell, and what they do with files of several trackers"
import argparse
import json
import shutil
import pandas as pd
import pytest
from vidnb.core.testing import expect_error, test_same as same
from vidnb.datasets.mot_converters import coco2mot, mot2coco
from vidnb.datasets.mot_report import MOT_BENCHMARKS, mot_report
from vidnb.datasets.motchallenge import MOT_DISTRACTORS, evaluate_mot, read_mot, write_mot
from vidnb.function_commands import add_converters, add_evaluations
from test_mot import crowd
from test_mot_classes import bdd, kitti

def table(f, i, b): return pd.DataFrame(dict(frame=f, id=i+1, x=b[:,0], y=b[:,1], w=b[:,2]-b[:,0], h=b[:,3]-b[:,1]))

@pytest.fixture(scope='module')
def mot(tmp_path_factory):
    "Two sequences and two trackers; sequence names sort apart from the order of folders"
    root = tmp_path_factory.mktemp('mot')
    for k,name in enumerate(('T-02', 'T-01')):
        gt, tr, n = crowd(k, people=10, frames=21)
        (root/'train'/name/'gt').mkdir(parents=True)
        (root/'train'/name/'seqinfo.ini').write_text(f'[Sequence]\nname={name}\nimDir=img1\nframeRate=30\nseqLength={n}\nimWidth=300\nimHeight=300\nimExt=.jpg\n')
        write_mot(table(*gt).assign(conf=1., cls=1, visibility=.5), root/'train'/name/'gt'/'gt.txt')
        for t,skip in (('all', 1), ('some', 2)):
            (root/'pred'/t).mkdir(parents=True, exist_ok=True)
            write_mot(table(*tr).iloc[::skip], root/'pred'/t/f'{name}.txt')
    return root

def shell(add, table, *args):
    parser = argparse.ArgumentParser()
    args = [str(a) for a in args]
    add(parser.add_subparsers(), args, table)
    a = parser.parse_args(args)
    return a.run(a)

EVAL = {'mot': ('vidnb.datasets.mot_report', 'mot_report', 'tracking')}
CONVERT = {n: ('vidnb.datasets.mot_converters', 'text and CocoVID') for n in ('mot2coco', 'coco2mot')}

def test_eval_from_the_shell(mot, tmp_path):
    one = shell(add_evaluations, EVAL, 'mot', '--truth', mot/'train', '--pred', mot/'pred'/'all')
    same(one.table.to_numpy(), evaluate_mot(mot/'train', mot/'pred'/'all').table().to_numpy())
    both = shell(add_evaluations, EVAL, 'mot', '--truth', mot/'train', '--pred', mot/'pred'/'some', mot/'pred'/'all', '--benchmark', 'MOT20', '--sequences', 'T-02')
    same(both.table.index.tolist(), ['some', 'all'])
    same(both.table.loc['all'].to_numpy(), one.table.loc['T-02'].to_numpy())
    assert sorted(p.name for p in both.save(tmp_path))[-1] == 'scores.csv' and (tmp_path/'deta-and-assa.png').stat().st_size > 5000

@pytest.mark.parametrize('benchmark', MOT_BENCHMARKS)
def test_every_benchmark_has_a_report(benchmark, mot, tmp_path):
    if benchmark in MOT_DISTRACTORS: truth, pred, names = mot/'train', mot/'pred', ['all', 'some']
    else:
        if benchmark == 'KITTI': kitti(tmp_path, 2, sequences=2)
        elif benchmark.startswith('BDD100K'): bdd(tmp_path, 2, videos=2)
        else:
            (tmp_path/'gt').mkdir()
            (tmp_path/'trackers'/'mine'/'data').mkdir(parents=True)
            for n in ('T-01', 'T-02'):
                for path,df in ((tmp_path/'gt'/f'{n}.txt', read_mot(mot/'train'/n/'gt'/'gt.txt')), (tmp_path/'trackers'/'mine'/'data'/f'{n}.txt', read_mot(mot/'pred'/'all'/f'{n}.txt'))):
                    df.assign(conf=1, cls=4, visibility=0, occlusion=0).to_csv(path, header=False, index=False)
        shutil.copytree(tmp_path/'trackers'/'mine', tmp_path/'trackers'/'yours')
        truth, pred, names = tmp_path if benchmark == 'KITTI' else tmp_path/'gt', tmp_path/'trackers', ['mine', 'yours']
    report = mot_report(truth, pred, benchmark)
    assert report.table.index.tolist() == names and report.title == f'{benchmark}: {", ".join(names)}' and report.notes[0].startswith(f'rules of {benchmark.partition("-")[0]}')
    single = mot_report(truth, pred/names[0], benchmark.lower())
    whole = single.table.loc['COMBINED' if benchmark in MOT_DISTRACTORS else 'class average']
    same(report.table.loc[names[0]].to_numpy(float), whole.to_numpy(float), eps=1e-12)
    if benchmark == 'VisDrone': same(float(single.table.HOTA['car']), float(evaluate_mot(mot/'train', mot/'pred'/'all', 'MOT15').value['HOTA']), eps=1e-9)
    for draw in (*report.figures.values(), *single.figures.values()):
        import matplotlib.figure
        ax = draw(matplotlib.figure.Figure().subplots())
        assert ax.lines or ax.patches

def test_convert_from_the_shell(mot, tmp_path):
    files = shell(add_converters, CONVERT, 'mot2coco', '-i', mot, '-o', tmp_path/'coco', '--split-train', '--half-root', tmp_path/'half')
    assert [f.name for f in files] == ['train_cocoformat.json', 'half-train_cocoformat.json', *['gt_half-train.txt']*2, 'half-val_cocoformat.json', *['gt_half-val.txt']*2]
    half = json.loads((tmp_path/'coco'/'half-val_cocoformat.json').read_text())
    assert [v['name'] for v in half['videos']] == ['T-01', 'T-02'] and [o['mot_frame_id'] for o in half['images'] if o['video_id'] == 2] == list(range(12, 22)) and half['images'][0]['frame_id'] == 0
    with open(tmp_path/'pred.json', 'w') as f: json.dump([dict(image_id=a['image_id'], bbox=a['bbox'], track_id=a['instance_id'], score=.5) for a in half['annotations']], f)
    shell(add_converters, CONVERT, 'coco2mot', '-i', tmp_path/'coco'/'half-val_cocoformat.json', '-o', tmp_path/'res', '--pred', tmp_path/'pred.json')
    for n in ('T-01', 'T-02'): shutil.copy(mot/'train'/n/'seqinfo.ini', tmp_path/'half'/n/'seqinfo.ini')
    report = mot_report(tmp_path/'half', tmp_path/'res', gt_name='gt_half-val.txt')   # the half that was kept, with the numbers of the whole
    same([float(report.table.HOTA.COMBINED), int(report.table.CLR_TP.COMBINED)], [1., len(half['annotations'])], eps=1e-12)

def test_halves_make_the_whole(mot, tmp_path):
    "Every true box is in one half, with its own frame"
    mot2coco(mot, tmp_path, split_train=True, half_root=tmp_path)
    whole, a, b = (json.loads((tmp_path/f'{n}_cocoformat.json').read_text()) for n in ('train', 'half-train', 'half-val'))
    key = lambda d: {(d['images'][o['image_id']-1]['file_name'], o['mot_instance_id'], *o['bbox']) for o in d['annotations']}
    assert key(a) | key(b) == key(whole) and not key(a) & key(b) and len(key(whole)) == len(whole['annotations'])
    assert [len(d['images']) for d in (a, b)] == [22, 20]
    text = [read_mot(tmp_path/'T-01'/'gt'/f'gt_half-{p}.txt') for p in ('train', 'val')]
    same(pd.concat(text).sort_values(['frame', 'id']).to_numpy(), read_mot(mot/'train'/'T-01'/'gt'/'gt.txt').to_numpy())

def test_converting_without_pictures_writes_no_truth_of_tests(mot, tmp_path):
    shutil.copytree(mot/'train', tmp_path/'test')
    data = json.loads(mot2coco(tmp_path, tmp_path/'out')[0].read_text())
    assert (tmp_path/'out'/'test_cocoformat.json').is_file() and not data['annotations'] and len(data['images']) == 42
    with expect_error(FileNotFoundError, 'nowhere is not there'): mot2coco(tmp_path/'nowhere', tmp_path)
    with expect_error(FileNotFoundError, 'none.json is not there'): coco2mot(tmp_path/'none.json', tmp_path)
