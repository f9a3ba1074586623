//! Run by ipmi_sim for every question about a machine's chassis: hands it to the story and prints the answer.
//! Usage: `lab-chassis MACHINE get|set|check NAME [VALUE]…`

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    let machine = words.next().unwrap_or_default();
    match tests::chassis::ask(&machine, &words.collect::<Vec<_>>().join(" ")) {
        Ok(answer) => {
            print!("{answer}");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("lab-chassis: nobody answers for {machine}: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
