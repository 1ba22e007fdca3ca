# SPDX-License-Identifier: GPL-2.0-or-later
"""opd, the OSCAR Package Downloader: from repositories to a headnode and node images."""
