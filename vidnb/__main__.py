"`python -m vidnb` is the `vidnb` command, see the page of `vidnb.cli`."
import sys
from vidnb.cli import main

if __name__ == '__main__': sys.exit(main())
