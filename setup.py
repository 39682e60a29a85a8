"Hands the distribution metadata of settings.ini to setuptools; everything else is in pyproject.toml."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

ini = ConfigParser(delimiters=['='], interpolation=None)
with open(Path(__file__).parent/'settings.ini', encoding='utf-8') as f: ini.read_file(f)
cfg = ini['DEFAULT']

def entries(key):
    "The non-empty lines of the multi-line option `key`"
    return [o.strip() for o in cfg.get(key, '').splitlines() if o.strip()]

statuses = ['', '1 - Planning', '2 - Pre-Alpha', '3 - Alpha', '4 - Beta', '5 - Production/Stable']

setup(author=cfg['author'], author_email=cfg['author_email'], license_expression=cfg['license'], keywords=cfg['keywords'].split(),
      classifiers=[f"Development Status :: {statuses[cfg.getint('status')]}", 'Intended Audience :: Science/Research',
                   *(f'Programming Language :: Python :: 3.{m}' for m in range(10, 14))],
      packages=find_packages(include=['vidnb', 'vidnb.*']),
      install_requires=entries('requirements'),
      extras_require={'dev': entries('dev_requirements'), 'timm': entries('timm_requirements'), 'distributed': entries('distributed_requirements')},
      entry_points={'console_scripts': entries('console_scripts'), 'nbdev': ['vidnb=vidnb._modidx:d']})
