"""What users give `vidnb convert` and `vidnb eval` that no benchmark has: one line that names file, line or entry and key, never a traceback, a hang or a full memory.

Files are small sets of the benchmarks' own layouts with one thing wrong in each."""
import json
import os
import subprocess
import sys
import pytest
from PIL import Image
from vidnb.cli import main

def run(capsys, *args):
    status = main([str(o) for o in args])
    out, err = capsys.readouterr()
    return status, out, err.strip().splitlines()

def refused(capsys, *args):
    status, out, err = run(capsys, *args)
    assert status == 1 and len(err) == 1, (status, out, err)
    return err[0]

def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path

def box(f, i): return [10*i + f, 8 + f, 12, 20]
EVERY = [(f, i) for f in range(1, 5) for i in (1, 2)]
def lines(form): return ''.join(form.format(f, i, *box(f, i)) + '\n' for f,i in EVERY)
MOT, KITTI, VISDRONE = '{},{},{},{},{},{},1,1,1', '{} {} Car 0 0 -1 {} {} 90 90 1 1 1 0 1 9 0', '{},{},{},{},{},{},1,4,0,0'

def mot(root):
    for s in ('A', 'B'):
        write(root/s/'seqinfo.ini', f'[Sequence]\nname={s}\nseqLength=4\nimWidth=64\nimHeight=48\n')
        write(root/s/'gt'/'gt.txt', lines(MOT))
        (root/s/'img1').mkdir()
        for k in range(1, 5): Image.new('RGB', (64, 48)).save(root/s/'img1'/f'{k:06d}.jpg')
    return root

def coco():
    return dict(videos=[dict(id=1, name='v')], categories=[dict(id=1, name='c')], images=[dict(id=f, video_id=1, frame_id=f-1, file_name=f'v/{f}.jpg', width=64, height=48) for f in range(1, 5)],
                annotations=[dict(id=k, image_id=f, video_id=1, category_id=1, instance_id=i, bbox=box(f, i), area=240, iscrowd=0) for k,(f,i) in enumerate(EVERY, 1)])

def tao():
    data = coco()
    for o in data['images']: o['frame_index'] = o['frame_id']
    return data | dict(annotations=[dict(o, track_id=o['instance_id']) for o in data['annotations']])

def found(): return [dict(image_id=f, category_id=1, track_id=i, bbox=box(f, i), score=.5) for f,i in EVERY]

ODD = [(None, 'null'), ('x', 'a word'), ([], 'a list'), ({}, 'a dict'), (2.5, 'a half'), (float('nan'), 'nan'), (10**25, 'huge')]

@pytest.mark.parametrize('kind', ('vid', 'tao'))
@pytest.mark.parametrize('key', ('image_id', 'category_id', 'bbox', 'score'))
def test_an_odd_value_in_results(kind, key, tmp_path, capsys):
    "A number that is none is named with its entry and key, and a half is not cut to a whole"
    truth = write(tmp_path/'t.json', json.dumps(tao()))
    for v,what in ODD:
        if key == 'score' and what in ('a half', 'huge'): continue
        rows = found()
        rows[3][key] = v
        pred = write(tmp_path/'p.json', json.dumps(rows))
        said = refused(capsys, 'eval', kind, '--truth', truth, '--pred', pred)
        assert 'p.json: entry 3' in said and key in said, (what, said)

@pytest.mark.parametrize('command', ('eval vid', 'eval tao', 'convert tao2coco', 'convert coco2mot'))
@pytest.mark.parametrize('place', ('images', 'annotations', 'categories', 'videos'))
def test_odd_entries_in_truth(command, place, tmp_path, capsys):
    verb, kind = command.split()
    args = ('--pred', write(tmp_path/'p.json', json.dumps(found()))) if verb == 'eval' else ('-o', tmp_path/'out')
    for v,what in ODD:
        if what == 'a dict' and (kind, place) == ('coco2mot', 'categories'): continue   # nobody asks what is in one there
        data = tao()
        data[place] = [*data[place], v] if what != 'null' else 7
        truth = write(tmp_path/'t.json', json.dumps(data))
        said = refused(capsys, verb, kind, '--truth' if verb == 'eval' else '-i', truth, *args)
        assert f't.json: {place}' in said, (what, said)
    assert not (tmp_path/'out').exists()

@pytest.mark.parametrize('cell', ('1_0', '１２', '1e301', 'inf', 'nan', ''))
def test_numbers_that_only_python_reads(cell, tmp_path, capsys):
    "Each names the line, whatever the format"
    for name,form,sep,args in (('m.txt', MOT, ',', ['mot']), ('k.txt', KITTI, ' ', ['mot', '--benchmark', 'KITTI']), ('d.txt', VISDRONE, ',', ['mot', '--benchmark', 'VisDrone'])):
        good = write(tmp_path/'good'/name, lines(form))
        rows = lines(form).splitlines()
        cells = rows[2].split(sep)
        cells[6 if sep == ' ' else 2] = cell
        bad = write(tmp_path/'bad'/name, '\n'.join([*rows[:2], sep.join(cells), *rows[3:]]) + '\n')
        assert f'{name}:3' in refused(capsys, 'eval', *args, '--truth', good, '--pred', bad)
    good = write(tmp_path/'good'/'s.txt', ''.join(','.join(map(str, box(f, 1))) + '\n' for f in range(1, 5)))
    bad = write(tmp_path/'bad'/'s.txt', good.read_text().replace('12,', f'{cell},', 1) if cell != 'nan' else good.read_text().replace('11,', 'nan,', 1))
    assert 's.txt:1' in refused(capsys, 'eval', 'sot', '--truth', good, '--pred', bad)

def test_a_frame_that_no_video_reaches(tmp_path, capsys):
    "The length of a sequence is that of its last box where nothing else tells it; a slip of the pen shall not fill the memory"
    for name,form,place in (('kitti2coco', KITTI, 'label_02'), ('visdrone2coco', VISDRONE, 'annotations')):
        write(tmp_path/name/place/'a.txt', lines(form) + form.format(99999999999, 9, *box(1, 1)) + '\n')
        said = refused(capsys, 'convert', name, '-i', tmp_path/name, '-o', tmp_path/'out', '--width', 64, '--height', 48)
        assert 'a.txt:9: frame is 99999999999; no video is so long' in said
        write(tmp_path/name/place/'a.txt', lines(form) + lines(form).splitlines()[0] + '\n')
        assert 'a.txt:9: id 1 stands twice in frame 1' in refused(capsys, 'convert', name, '-i', tmp_path/name, '-o', tmp_path/'out', '--width', 64, '--height', 48)
    assert not (tmp_path/'out').exists()

def test_ids_beyond_what_a_table_holds(tmp_path, capsys):
    good = write(tmp_path/'good'/'a.txt', lines(KITTI))
    bad = write(tmp_path/'bad'/'a.txt', lines(KITTI) + KITTI.format(1, 10**25, *box(1, 1)) + '\n')
    assert 'a.txt:9: id is' in refused(capsys, 'eval', 'mot', '--benchmark', 'KITTI', '--truth', good, '--pred', bad)

def test_lines_with_more_numbers_than_a_box(tmp_path, capsys):
    "Eight numbers in each line once were read as the last seven"
    truth = write(tmp_path/'t.json', json.dumps(coco()))
    text = ''.join(f'{f} 1 .5 {x} {y} {x+w} {y+h}\n' for f,i in EVERY for x,y,w,h in [box(f, i)])
    pred = write(tmp_path/'p.txt', text)
    assert run(capsys, 'eval', 'vid', '--truth', truth, '--pred', pred)[0] == 0
    write(pred, text.replace('\n', ' 7\n'))
    assert 'p.txt:1 is' in refused(capsys, 'eval', 'vid', '--truth', truth, '--pred', pred)
    write(pred, '\n\n' + text.replace('.5', 'nan', 1))
    assert 'p.txt:3' in refused(capsys, 'eval', 'vid', '--truth', truth, '--pred', pred)

def test_what_is_empty_or_without_truth_is_said(tmp_path, capsys):
    mot(tmp_path/'gt')
    for s in ('A', 'B'): write(tmp_path/'res'/f'{s}.txt', lines(MOT) if s == 'A' else '')
    assert '1 files of results have no box in them' in run(capsys, 'eval', 'mot', '--truth', tmp_path/'gt', '--pred', tmp_path/'res')[1]
    (tmp_path/'gt'/'B'/'gt'/'gt.txt').unlink()
    assert 'their folders have no gt/gt.txt: B' in run(capsys, 'eval', 'mot', '--truth', tmp_path/'gt', '--pred', tmp_path/'res')[1]
    for n in ('Coke', 'Doll'): write(tmp_path/'otb'/n/'groundtruth_rect.txt', '1,2,3,4\n'), (tmp_path/'otb'/n/'img').mkdir(), Image.new('RGB', (9, 9)).save(tmp_path/'otb'/n/'img'/'0001.jpg')
    (tmp_path/'otb'/'Doll'/'groundtruth_rect.txt').unlink()
    status, _, err = run(capsys, 'convert', 'otb2coco', '-i', tmp_path/'otb', '-o', tmp_path/'out')
    assert status == 0 and len([e for e in err if 'left out: Doll' in e]) == 1, err
    write(tmp_path/'otb'/'Doll'/'groundtruth_rect.txt', '')
    for c in ('otb2coco', 'gen_otb100_infos'): assert 'groundtruth_rect.txt has no box' in refused(capsys, 'convert', c, '-i', tmp_path/'otb', '-o', tmp_path/'out')

def test_crops_are_cut_when_all_truth_is_right(tmp_path, capsys):
    root = mot(tmp_path/'gt')
    args = ('convert', 'mot2reid', '-i', root, '-o', tmp_path/'out', '--min-per-person', 2)
    gt = root/'B'/'gt'/'gt.txt'
    for text,says in ((lines(MOT) + lines(MOT).splitlines()[0], 'gt.txt:9: id 1 stands twice in frame 1'), (lines(MOT) + '9,1,1,1,9,9,1,1,1\n', '000009.jpg is not there'), ('1,2,x', 'gt.txt:1')):
        write(gt, text)
        assert says in refused(capsys, *args) and not (tmp_path/'out').exists()
    write(gt, '')
    status, out, _ = run(capsys, *args)
    assert status == 0 and 'B: nobody is there' in out and len(list((tmp_path/'out'/'imgs').rglob('*.jpg'))) == 8
    write(gt, lines(MOT) + '4,9,1,1,0,9,1,1,1\n')
    assert 'B: 1 boxes have no area and were left out' in run(capsys, *args)[1]

def test_names_that_lead_out_of_the_folder(tmp_path, capsys):
    data = coco()
    data['videos'][0]['name'] = '../../v'
    said = refused(capsys, 'convert', 'coco2mot', '-i', write(tmp_path/'a'/'t.json', json.dumps(data)), '-o', tmp_path/'a'/'b'/'out')
    assert "video '../../v' would be written outside of" in said and not (tmp_path/'a'/'v').exists()

@pytest.mark.skipif(os.name == 'nt', reason='no limit of this kind there')
def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    "As a disk that has no more room: files may not be larger than 2 kB"
    mot(tmp_path/'gt')
    code = 'import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from vidnb.cli import main; sys.exit(main(sys.argv[1:]))'
    r = subprocess.run([sys.executable, '-c', code, 'convert', 'mot2coco', '-i', str(tmp_path/'gt'), '-o', str(tmp_path/'out')], capture_output=True, text=True)
    assert r.returncode == 1 and len(r.stderr.strip().splitlines()) == 1 and 'File too large' in r.stderr, r.stderr
    assert [*(tmp_path/'out').iterdir()] == []

@pytest.mark.parametrize('args,near', (('convert mot2coc', 'mot2coco'), ('eval mott', 'mot'), ('convrt x', 'convert'), ('eval mot --truth a --pred b --treshold 1', '--threshold')))
def test_a_name_that_was_perhaps_meant(args, near, capsys):
    with pytest.raises(SystemExit): main(args.split())
    assert 'did you mean ' in (said := capsys.readouterr().err) and near in said.split('did you mean ')[1]

def test_options_as_older_tools_have_them(tmp_path, capsys):
    mot(tmp_path/'gt')
    for s in ('A', 'B'): write(tmp_path/'gt'/s/'det'/'det.txt', lines('{0},-1,{2},{3},{4},{5},.9'))
    assert run(capsys, 'convert', 'mot2coco', '-i', tmp_path/'gt', '-o', tmp_path/'out', '--split_train', '--convert_det')[0] == 0
    assert {p.name for p in (tmp_path/'out').iterdir()} == {f'{s}_{k}.json' for s in ('train', 'half-train', 'half-val') for k in ('cocoformat', 'detections')}
    assert 'nowhere is not there' in refused(capsys, 'convert', 'merge_coco_with_lvis', '--lvis', 'nowhere', '--coco', 'b', '--mapping', 'c', '-o', tmp_path, '--iou-thresh', '.7')
