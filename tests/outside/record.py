"""Pass counts of other projects' suites in conformance/NAME.json, and the table of them for people in NAME.md."""
import collections
import fnmatch
import json
import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conformance")

# How a file came out: tests that passed, how many there are (None: as recorded), seconds, names of those that failed,
# what else there is to say of the run.
Result = collections.namedtuple("Result", "passed of seconds failed notes")


def entries():
    """(file, patterns, how they are left out) of misses.md: - `file`: `pattern`, `pattern`: reason"""
    with open(os.path.join(FOLDER, "misses.md")) as f:
        for line in f:
            entry = re.match("- (`[^`]+`): (`[^`]+`(?:, `[^`]+`)*): (not run|dropped)?", line)
            if entry:
                yield entry[1].strip("`"), re.findall("`([^`]+)`", entry[2]), entry[3]


def explained():
    """(file, pattern) of every miss that misses.md gives a reason for."""
    return [(file, pattern.replace("[", "[[]")) for file, patterns, _ in entries() for pattern in patterns]


def unexplained(results):
    """Names of failed tests without a reason."""
    known = explained()
    return [(file, name) for file, result in results.items() for name in result.failed
            if not any(fnmatch.fnmatchcase(file, f) and fnmatch.fnmatchcase(name, pattern) for f, pattern in known)]


class Record:
    def __init__(self, name, title, about):
        self.path = os.path.join(FOLDER, name)
        self.title, self.about = title, about
        self.files, self.accepted = {}, []
        if os.path.exists(self.path + ".json"):
            with open(self.path + ".json") as f:
                found = json.load(f)
            self.files, self.accepted = found["files"], found["accepted"]

    def fallen(self, results):
        """Files of which fewer tests passed than are recorded."""
        return [name for name, result in results.items() if result.passed < (self.files.get(name, {}).get("passed") or 0)]

    def judge(self, results, accept):
        """Puts what rose into the record, and what fell if that is accepted for a reason; the files that fell otherwise."""
        fallen = set(self.fallen(results)) if not accept else set()
        for name, result in results.items():
            entry = self.files.setdefault(name, {"passed": None, "of": result.passed, "seconds": result.seconds})
            before = entry["passed"]
            if name in fallen:
                print("FELL: %s passed %d tests, now %d (%s)" % (name, before, result.passed,
                                                                 "; ".join(result.notes) or "ran to its end"))
                continue
            if before is not None and result.passed < before:
                self.accepted.append({"file": name, "from": before, "to": result.passed, "reason": accept})
            if result.of is not None:
                entry["of"] = result.of
            if before != result.passed:
                was = "new" if before is None else before
                print("%s: %s -> %d of %d" % (name, was, result.passed, entry["of"]))
                entry["passed"], entry["seconds"] = result.passed, round(result.seconds)
        return fallen

    def render(self):
        lines = ["# " + self.title, "", *self.about, "", "| file | passed | of |", "|---|---|---|"]
        passed = of = 0
        for name, entry in self.files.items():
            if entry["passed"] is not None:
                passed += entry["passed"]
                of += entry["of"]
            lines.append("| %s | %s | %d |" % (name, "" if entry["passed"] is None else entry["passed"], entry["of"]))
        lines += ["| **total of the counted** | %d | %d |" % (passed, of), ""]
        if self.accepted:
            lines += ["## Lower counts that were accepted", "", "| file | from | to | reason |", "|---|---|---|---|"]
            lines += ["| %(file)s | %(from)d | %(to)d | %(reason)s |" % entry for entry in self.accepted] + [""]
        return "\n".join(lines)

    def save(self):
        with open(self.path + ".json", "w") as f:
            json.dump({"files": self.files, "accepted": self.accepted}, f, indent=1)
            f.write("\n")
        with open(self.path + ".md", "w") as f:
            f.write(self.render())
