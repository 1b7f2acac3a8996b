"""One file for each tool that the catalog can be exported to; see `sentinel.signatures.exports`."""
