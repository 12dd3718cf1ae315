"""Asks axe-core, in the browser, what of a page somebody could not use.

It is npm's, and comes from there: the file is known by its hash, and kept beside the screenshots.
Where npm or its registry is not to be had, that is said, and nothing is asked.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile

__all__ = ["serious"]

PACKAGE, FILE = "axe-core@4.14.1", "axe-core-4.14.1.tgz"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


def serious(browser, folder):
    """Return what axe-core finds serious or critical in the page that is open.

    Parameters
    ----------
    browser : WebDriver
        With the page.
    folder : Path
        Where the package is kept.
    """
    script = _script(folder)
    if script is None:
        return []
    browser.execute_script(script)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']})"
        ".then(done, (error) => done({error: String(error)}))"
    )
    assert "error" not in found, found
    return [
        f"{each['impact']}: {each['help']}: {node['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def _script(folder):
    """Return axe-core; ``None`` where it cannot be had."""
    path = folder / FILE
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                [shutil.which("npm") or "npm", "pack", "--silent", PACKAGE],
                cwd=folder,
                check=True,
                timeout=60,
                stdout=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError) as error:
            print(f"NOT RUN: axe-core, which npm does not give ({error})", file=sys.stderr)
            return None
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    assert digest == SHA512, f"{path} is another axe-core than {PACKAGE}"
    with tarfile.open(path) as package:
        return package.extractfile("package/axe.min.js").read().decode()
