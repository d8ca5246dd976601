//! Random statements of several sessions against a server of their own, every answer checked.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options`, `dice` | what is asked for; choices that depend on the seed |
//! | `world` | the sources and models, and their right answers |
//! | `scenario`, `kinds/` | what a session does next; the statements there are |
//! | `session` | runs them, one after the other, and judges how each ends |
//! | `oracle`, `errors` | which answers are right, which errors may be |
//! | `aftermath` | what the log says and what is left when all are gone |
//! | `record`, `report` | counts and failures |

mod aftermath;
mod dice;
mod errors;
mod kinds;
mod options;
mod oracle;
mod record;
mod report;
mod scenario;
mod session;
mod step;
mod world;

use options::Options;
use record::Record;
use session::Session;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let options = Options::from_arguments();
    let cluster = world::create(options.sessions);
    let (record, began) = (Record::new(&options), Instant::now());
    let each = options.statements.div_ceil(options.sessions);
    std::thread::scope(|scope| {
        for number in 0..options.sessions {
            let session = Session::new(&cluster, &record, options.seed, number, options.sessions);
            scope.spawn(move || session.run(each));
        }
    });
    let took = began.elapsed();
    aftermath::check(&cluster, &record);
    match report::print(&options, &record, &cluster.log(), took) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
