//! `SPEC.md` as data: its tables, its pages and its blocks.

/// A table and the heading that it stands under.
pub struct Table {
    pub under: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The column with this title, without code marks.
    pub fn column(&self, title: &str) -> Vec<String> {
        let at = self.header.iter().position(|h| h == title);
        let at = at.unwrap_or_else(|| panic!("no column `{title}` under `{}`: {:?}", self.under, self.header));
        self.rows.iter().map(|r| r[at].trim_matches('`').to_owned()).collect()
    }

    /// A column of numbers: thousands may be set apart by commas.
    pub fn numbers(&self, title: &str) -> Vec<u64> {
        let number = |s: &String| s.replace(',', "").parse();
        self.column(title).iter().map(|s| number(s).unwrap_or_else(|_| panic!("`{s}` under `{title}`"))).collect()
    }
}

/// Every table of the page.
pub fn tables(page: &str) -> Vec<Table> {
    let mut under = String::new();
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            under = heading.trim_start_matches('#').trim().to_owned();
        }
        if !line.starts_with('|') {
            inside = false;
            continue;
        }
        let cells: Vec<String> = line.trim().trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect();
        if !inside {
            tables.push(Table { under: under.clone(), header: cells, rows: Vec::new() });
            inside = true;
        } else if !line.starts_with("|--") {
            let table = tables.last_mut().expect("a table was opened");
            assert_eq!(cells.len(), table.header.len(), "a row of the table under `{under}`: {line}");
            table.rows.push(cells);
        }
    }
    tables
}

/// The one table under `heading` whose first column is titled `first`.
pub fn table<'a>(tables: &'a [Table], heading: &str, first: &str) -> &'a Table {
    let mut fitting = tables.iter().filter(|t| t.under.ends_with(heading) && t.header[0] == first);
    let table = fitting.next().unwrap_or_else(|| panic!("no table `{first}` under `{heading}`"));
    assert!(fitting.next().is_none(), "two tables `{first}` under `{heading}`");
    table
}

/// One page of section 5.
pub struct Page {
    /// What stands after `### 5.`
    pub number: u64,
    pub name: String,
    /// The line in the block.
    pub signature: String,
    /// Titles of the parts, in order.
    pub parts: Vec<String>,
    /// The text under **Errors**.
    pub errors: String,
}

/// The pages of section 5.
pub fn pages(spec: &str) -> Vec<Page> {
    let page = |text: &str| {
        let (heading, rest) = text.split_once('\n').expect("a heading and a page");
        let (number, name) = heading.split_once(' ').expect("a number and a name");
        let signature = rest.split("```text\n").nth(1).and_then(|b| b.lines().next()).unwrap_or_default();
        let paragraphs = || rest.split("\n\n").filter_map(|p| p.trim().strip_prefix("**")?.split_once(".** "));
        let errors = paragraphs().find(|(title, _)| *title == "Errors");
        Page {
            number: number.parse().expect("a number"),
            name: name.trim_matches('`').to_owned(),
            signature: signature.to_owned(),
            parts: paragraphs().map(|(title, _)| title.to_owned()).collect(),
            errors: errors.map(|(_, text)| text.to_owned()).unwrap_or_default(),
        }
    };
    let section = spec.split("\n## 5. ").nth(1).and_then(|s| s.split("\n## ").next()).expect("section 5");
    section.split("\n### 5.").skip(1).map(page).collect()
}

/// What stands between code marks in `text` and is in capitals: names of errors and limits.
pub fn capitals(text: &str) -> Vec<String> {
    let codes = text.split('`').skip(1).step_by(2);
    codes
        .filter(|c| !c.is_empty() && c.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .map(str::to_owned)
        .collect()
}
