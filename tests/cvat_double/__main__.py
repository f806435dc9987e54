"""`python -m tests.cvat_double --port 8990`: run the double until it is interrupted."""

import argparse
import time

from tests.cvat_double.server import Double


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description="A stand-in for CVAT on this computer. It is not CVAT.")
    parser.add_argument("--port", type=int, default=8990)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    with Double(options.port, options.host) as double:
        print(f"A stand-in for CVAT (not CVAT) at {double.url}/api; access token: {double.token}")
        print(f"Switches: POST {double.url}/__control/faults, /options, /clock, /reset")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
