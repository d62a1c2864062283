//! The program: parse the command line, run the command, end with its exit status.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sociaro_gateway::cli::main()
}
