//! Passwords that no name stands beside, but the program, function or option that takes them: `mysql -pX`,
//! `curl -u user:X`, `login("user", "X")`, `ConvertTo-SecureString 'X'`, `user:X@tcp(host)`.

use super::{
    context::Hit,
    kind::{Kind, Rank},
    scan::Scan,
    secret_name::Class,
    secret_value::{Setting, is_secret},
    text::{Text, is_word},
};

/// The longest line of a command.
const LINE_MAX: usize = 400;

/// Programs, and the options behind which their password stands: alone, or joined with a user by a colon.
const PROGRAMS: &[(&str, &[&str], bool)] = &[
    ("mysql", &["-p"], false),
    ("mysqldump", &["-p"], false),
    ("mysqladmin", &["-p"], false),
    ("mariadb", &["-p"], false),
    ("sshpass", &["-p "], false),
    ("redis-cli", &["-a "], false),
    ("mongo", &["-p "], false),
    ("mongosh", &["-p "], false),
    ("mongodump", &["-p "], false),
    ("docker login", &["-p "], false),
    ("ldapsearch", &["-w "], false),
    ("ldapmodify", &["-w "], false),
    ("ldapadd", &["-w "], false),
    ("sqlcmd", &["-p ", "-P "], false),
    ("bcp", &["-P "], false),
    ("smbclient", &["-U "], true),
    ("unzip", &["-P "], false),
    ("zip", &["-P "], false),
    ("7z", &["-p"], false),
    ("curl", &["-u ", "--user ", "-U ", "--proxy-user "], true),
    ("http", &["-a ", "--auth "], true),
    ("openssl", &["-pass pass:", "-passin pass:", "-passout pass:", "-k "], false),
];

/// What stands behind the name of a program, function or protocol.
pub(super) fn find(scan: &mut Scan<'_>, hit: Hit) {
    let text = scan.text;
    let word = text.slice(hit.start, hit.end).to_ascii_lowercase();
    let found = match word.as_str() {
        "login" | "auth" | "authenticate" | "basicauth" | "httpbasicauth" | "set_auth" => {
            second_argument(text, hit.end)
        }
        "convertto-securestring" => quoted(text, text.skip_spaces(hit.end)),
        "@tcp(" | "@unix(" => source_name(text, hit.start),
        "jdbc:oracle:thin:" => oracle(text, hit.end),
        "root" | "admin" | "administrator" | "postgres" | "sa" | "ubuntu" => beside_user(text, hit.start, hit.end),
        program => option(text, hit.end, program),
    };
    if let Some((start, end, setting)) = found
        && is_secret(text.slice(start, end), Class::Password, setting)
    {
        let kind = if matches!(word.as_str(), "mysql" | "curl" | "@tcp(" | "@unix(" | "jdbc:oracle:thin:") {
            Kind::ConnPassword
        } else {
            Kind::EnvSecret
        };
        scan.add(kind, start, end, Rank::Shaped);
    }
}

type Value = (usize, usize, Setting);

/// `login("user", "password")`, `auth=("user", "password")`
fn second_argument(text: Text<'_>, end: usize) -> Option<Value> {
    let at = text.run(end, 3, |byte| matches!(byte, b'=' | b' ' | b':'));
    (text.at(at) == b'(').then_some(())?;
    let (_, first, _) = quoted(text, text.skip_spaces(at + 1))?;
    let comma = text.skip_spaces(first + 1);
    (text.at(comma) == b',').then_some(())?;
    let (from, to, _) = quoted(text, text.skip_spaces(comma + 1))?;
    Some((from, to, Setting::Open))
}

/// What stands between the quotes that open at a place.
fn quoted(text: Text<'_>, at: usize) -> Option<Value> {
    let mark = text.at(at);
    matches!(mark, b'"' | b'\'').then_some(())?;
    let end = text.run(at + 1, 160, |byte| byte != mark && byte != b'\n');
    (text.at(end) == mark && at + 1 < end).then_some((at + 1, end, Setting::Quoted))
}

/// `user:password@tcp(host:3306)/db`
fn source_name(text: Text<'_>, at: usize) -> Option<Value> {
    let begin =
        text.run_back(at, 128, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`' | b'='));
    let colon = begin + text.bytes(begin, at).iter().position(|byte| *byte == b':')?;
    (begin < colon).then_some((colon + 1, at, Setting::Closed))
}

/// `scott/tiger@host`
fn oracle(text: Text<'_>, start: usize) -> Option<Value> {
    let slash = text.run(start, 32, is_word);
    let end = text.run(slash + 1, 64, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'@' | b'"' | b'\''));
    (start < slash && text.at(slash) == b'/' && text.at(end) == b'@').then_some((slash + 1, end, Setting::Closed))
}

/// `root / X`, a user and a password as people write them down.
fn beside_user(text: Text<'_>, start: usize, end: usize) -> Option<Value> {
    let slash = [" / ", " // "].into_iter().find(|mark| text.is(end, mark.as_bytes()))?;
    let from = end + slash.len();
    let to = text.run(from, 64, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b',' | b';' | b')' | b'"'));
    let to = text.run_back(to, 1, |byte| byte == b'.').max(from);
    (!is_word(text.before(start)) && !matches!(text.before(start), b'/' | b'.')).then_some((from, to, Setting::Open))
}

/// The value of an option of a program, on its line and within its command.
fn option(text: Text<'_>, end: usize, program: &str) -> Option<Value> {
    let (_, options, user) = PROGRAMS.iter().find(|(name, ..)| *name == program)?;
    let line = text.floor(text.run(end, LINE_MAX, |byte| !matches!(byte, b'\n' | b'|' | b';' | b'&')));
    let command = text.slice(end, line);
    let (at, option) = options
        .iter()
        .filter_map(|option| command.find(&format!(" {option}")).map(|at| (at + 1, *option)))
        .min_by_key(|(at, _)| *at)?;
    let from = end + at + option.len();
    let (start, stop, setting) = quoted(text, from).unwrap_or_else(|| {
        let stop = text.run(from, 128, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'`'));
        (from, stop.min(line), Setting::Bare)
    });
    if !user {
        return Some((start, stop, setting));
    }
    let colon = start + text.bytes(start, stop).iter().position(|byte| matches!(byte, b':' | b'%'))?;
    Some((colon + 1, stop, setting))
}

#[cfg(test)]
mod tests {
    use super::super::Detector;

    fn masked(text: &str) -> String {
        Detector::new().unwrap().mask(text).text
    }

    #[test]
    fn passwords_are_found_where_programs_and_functions_take_them() {
        for (before, after) in [
            ("mysql -u root -p", " shop < dump.sql"),
            ("curl -u admin:", " https://ci.example/job"),
            ("sshpass -p '", "' ssh host"),
            ("redis-cli -h db -a ", " ping"),
            ("openssl enc -pass pass:", " -in a"),
            ("smtp.login(\"jo\", \"", "\")"),
            ("auth=('svc', '", "')"),
            ("ConvertTo-SecureString '", "' -AsPlainText"),
            ("root:", "@tcp(db:3306)/shop"),
            ("jdbc:oracle:thin:scott/", "@db:1521/XE"),
            ("root / ", ""),
            ("os.environ.setdefault(\"DB_PASSWORD\", \"", "\")"),
        ] {
            let text = masked(&format!("{before}kX82mmQ_pa1{after}"));
            assert!(text.starts_with(before) && text.ends_with(after) && !text.contains("kX82mm"), "{text}");
        }
    }

    #[test]
    fn other_options_and_arguments_stay() {
        for text in ["mysql -u root -p", "curl -u admin", "http -a -v", "login(\"jo\", \"sales\")", "admin / staff"] {
            assert_eq!(masked(text), text);
        }
    }
}
