"""Prints all rows that the vendor's client, closeio 2.1, unmodified except for the base URL, reads of some lists:
one JSON object a line, {"list", "row"}.

Environment: CLOSE_URL (ends in /api/v1/), CLOSE_KEY. Arguments: the lists, with their parameters, as task?_type=all.
"""

import json
import os
import sys
from urllib.parse import parse_qsl

from closeio_api import API


def main():
    api = API(os.environ["CLOSE_URL"], os.environ["CLOSE_KEY"])
    for wanted in sys.argv[1:]:
        path, _, query = wanted.partition("?")
        skip, more = 0, True
        while more:
            page = api.get(path, params=dict(parse_qsl(query), _skip=skip, _limit=100))
            for row in page["data"]:
                print(json.dumps({"list": path, "row": row}))
            skip, more = skip + len(page["data"]), page["has_more"]


if __name__ == "__main__":
    main()
