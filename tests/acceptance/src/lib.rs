//! Black-box tests of whole servers: a server is a process, and a test sees what clients and operators see of it.
#![forbid(unsafe_code)]
