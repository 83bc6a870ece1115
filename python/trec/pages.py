"""On which pages memory lies, as the kernel says."""

# Of private memory, and of files.
_HUGE = ("AnonHugePages:", "FilePmdMapped:")


def huge_bytes(address: int, size: int) -> int:
    """Bytes on huge pages in the mappings that the range is in; at most its size."""
    end, total, is_inside = address + size, 0, False
    with open("/proc/self/smaps", encoding="utf-8", errors="replace") as smaps:
        for line in smaps:
            first = line.split(maxsplit=1)[0]
            if "-" in first and not first.endswith(":"):
                low, high = (int(bound, 16) for bound in first.split("-"))
                is_inside = low < end and address < high
            elif is_inside and first in _HUGE:
                total += int(line.split()[1]) * 1024
    return min(total, size)
