//! The request for a training: its arguments, checked against the columns of the source.

use super::keys::Keys;
use super::view_inputs::ViewInputs;
use crate::catalog::version_source::VersionSource;
use crate::error::Error;
use crate::feature_view::registry::FeatureView;
use crate::pg::distributed::is_distributed;
use crate::pg::extension::LIBRARY;
use crate::pg::layout::Layout;
use crate::pg::relations::{self, Column, Opened, Relation, RelationName};
use crate::pg::values::{self, Reader, EPOCH};
use crate::settings;
use model::protocol::{Role, SourceColumn, Spec};
use model::recipe::Family;
use model::{Algorithm, Params};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;
use pgrx::{Spi, Uuid};

/// The arguments of `reco.train`, as the caller gave them.
pub struct Arguments {
    pub model: String,
    pub source: pg_sys::Oid,
    /// Without a label, that of the feature view is used.
    pub label: Option<String>,
    pub algorithm: String,
    pub params: String,
    pub keys: Option<Vec<String>>,
    pub time_column: Option<String>,
    pub promote: bool,
}

/// A request that was checked, so that the training can start.
pub struct Request {
    pub spec: Spec,
    /// The algorithm that the caller asked for, or `auto`.
    pub algorithm: String,
    /// The reader of each column of the spec.
    pub readers: Vec<Reader>,
    /// The types that the readers are for.
    pub layout: Layout,
    pub source: RelationName,
    /// Whether the rows come from several shards of Citus, and in another order each time.
    is_distributed: bool,
    /// The feature view that the source is, if it is one.
    pub view: Option<Uuid>,
    /// The query of a view or a feature view; `None` for a table.
    pub definition: Option<String>,
    pub keys: Vec<String>,
    pub time_column: Option<String>,
    /// The same as [`Keys::row_ids`], without those that are to be inputs all the same.
    pub row_ids: Vec<String>,
    pub label: String,
    /// What the feature view has decided about the inputs.
    view_inputs: ViewInputs,
    pub promote: bool,
    /// If it is given, only rows whose time lies before this day are read, in days since 2000-01-01.
    pub before: Option<i32>,
}

/// The name that stands for all algorithms that can be trained on the source. The best of them is kept.
const AUTO: &str = "auto";

impl Request {
    /// The source as a version stores it.
    pub fn version_source(&self) -> VersionSource {
        VersionSource { name: self.source.clone(), view: self.view }
    }

    pub fn new(arguments: Arguments) -> Result<Self, Error> {
        check_name(&arguments.model)?;
        let algorithms = algorithms(&arguments.algorithm)?;
        let params = Params::from_json(&arguments.params, &algorithms)?;
        Self::with(arguments, algorithms, params)
    }

    /// Does the same as [`Self::new`], but takes the parameters that a version was stored with. These are all parameters,
    /// those of other algorithms too.
    pub fn again(arguments: Arguments) -> Result<Self, Error> {
        check_name(&arguments.model)?;
        let algorithms = algorithms(&arguments.algorithm)?;
        let params = Params::default().with(serde_json::from_str(&arguments.params)?)?;
        Self::with(arguments, algorithms, params)
    }

    fn with(arguments: Arguments, mut algorithms: Vec<Algorithm>, mut params: Params) -> Result<Self, Error> {
        if arguments.algorithm == AUTO && params.is_directed() {
            algorithms.retain(|algorithm| algorithm.keeps_directions());
        }
        if params.threads == 0 {
            params.threads = settings::training_threads();
        }
        let source = TrainingSource::open(arguments.source)?;
        let view = FeatureView::find(arguments.source)?;
        let label = find_label(arguments.label, view.as_ref(), &source.relation.name)?;
        let Keys { columns: keys, time: time_column, mut row_ids } =
            Keys::of(&source.relation, arguments.keys, arguments.time_column)?;
        row_ids.retain(|name| *name != label && !params.include.contains(name));
        source.relation.require(&label, "label")?;
        source.check_names(&params.include, "include")?;
        source.check_names(&params.exclude, "exclude")?;
        source.check_names(&params.increasing, "increasing")?;
        source.check_names(&params.decreasing, "decreasing")?;

        let view_inputs = ViewInputs::of(view.as_ref(), &source.relation.columns, &keys, &params)?;
        let mut columns = Vec::new();
        for column in &source.relation.columns {
            let role = role(&column.name, &label, &keys, time_column.as_deref(), &params, &view_inputs)?;
            if let Some(role) = role.filter(|_| !row_ids.contains(&column.name)) {
                let (in_role, reader) = in_role(column, role)?;
                columns.push((in_role, (reader, column.type_oid)));
            }
        }
        if !columns.iter().any(|(column, _)| column.role.is_feature()) {
            return Err(Error::invalid(format!(
                "{} has no column that could be an input",
                source.relation.name
            )));
        }
        check_directions(&params, columns.iter().map(|(column, _)| column))?;
        in_key_order(&mut columns, &keys);
        let (columns, (readers, types)): (Vec<_>, (Vec<_>, Vec<_>)) = columns.into_iter().unzip();
        Ok(Self {
            spec: Spec {
                extension: Some(LIBRARY.into()),
                model: arguments.model,
                algorithms,
                params,
                columns,
            },
            algorithm: arguments.algorithm,
            readers,
            layout: Layout::new(&source.relation.name, types.into_iter().enumerate()),
            is_distributed: is_distributed(source.relation.oid),
            source: source.relation.name,
            view: view.as_ref().map(|view| view.id),
            definition: view.map(|view| view.definition).or(source.definition),
            keys,
            time_column,
            row_ids,
            label,
            view_inputs,
            promote: arguments.promote,
            before: None,
        })
    }

    /// The query that reads the columns of the spec, in the order of the spec. What is learned depends on the order of the
    /// rows, so those of shards are put into that of their keys.
    pub fn query(&self) -> String {
        let names = self.spec.columns.iter().map(|column| quote_identifier(&column.name));
        let mut query = format!("SELECT {} FROM {}", names.collect::<Vec<_>>().join(", "), self.source);
        if let (Some(day), Some(time)) = (self.before, &self.time_column) {
            let time = quote_identifier(time);
            query += &format!(" WHERE {time} OPERATOR(pg_catalog.<) ({EPOCH} OPERATOR(pg_catalog.+) {day})");
        }
        let order: Vec<_> = self.keys.iter().chain(&self.time_column).map(quote_identifier).collect();
        if self.is_distributed && !order.is_empty() {
            query += &format!(" ORDER BY {}", order.join(", "));
        }
        query
    }

    /// Tells the client which keys, time and inputs were taken. Warns if `recommend` cannot find a row by them.
    pub fn tell_roles(&self) {
        let (model, keys) = (&self.spec.model, &self.keys);
        let time = self.time_column.as_ref().map_or(String::new(), |time| format!(", the time is {time}"));
        match keys.as_slice() {
            [product, region] => say!("{model}: the product is {product}, the region is {region}{time}"),
            [] => say!("{model}: there is no key{time}"),
            several => say!("{model}: the key is ({}){time}", several.join(", ")),
        }
        if !self.row_ids.is_empty() {
            say!("{model}: no inputs, since every row has another: {}", self.row_ids.join(", "));
        }
        self.view_inputs.tell(model);
        if !self.can_be_recommended() {
            warn!(
                "recommend cannot serve model \"{model}\": its key is ({}), not a product, which is a number or a text, and \
                 a region; name both with keys => '{{…,…}}', or score rows with reco.predict",
                keys.join(", ")
            );
        }
    }

    /// Whether the keys are a product and a region of types that `recommend` takes. The keys are the spec's first columns.
    fn can_be_recommended(&self) -> bool {
        let product = self.spec.columns.first().map(|column| column.family);
        self.keys.len() == 2 && matches!(product, Some(Family::Number | Family::Text))
    }
}

impl Arguments {
    /// Refuses a temporary source: a version is used later, and by other sessions, so its source must still exist then.
    pub fn check_source_stays(&self) -> Result<(), Error> {
        relations::refuse_temporary(self.source, &format!("model \"{}\"", self.model))
    }
}

/// The relation whose rows `recommend` reads, and the columns by which it finds them.
pub struct Origin {
    pub source: VersionSource,
    pub keys: Vec<String>,
    pub time_column: Option<String>,
}

impl Origin {
    /// The origin for a relation. Keys and time column that are not given are found as for a training.
    pub fn of(
        relation: pg_sys::Oid,
        keys: Option<Vec<String>>,
        time_column: Option<String>,
        label: Option<&str>,
    ) -> Result<Self, Error> {
        relations::refuse_temporary(relation, "recommend")?;
        let source = TrainingSource::open(relation)?;
        let Keys { columns: keys, time: time_column, .. } = Keys::of(&source.relation, keys, time_column)?;
        label.map_or(Ok(()), |label| source.relation.require(label, "label").map(drop))?;
        let view = FeatureView::find(relation)?.map(|view| view.id);
        Ok(Self { source: VersionSource { name: source.relation.name, view }, keys, time_column })
    }
}

/// The label that was given, or else the feature view's label.
fn find_label(
    given: Option<String>,
    view: Option<&FeatureView>,
    source: &RelationName,
) -> Result<String, Error> {
    given.or_else(|| view.and_then(|view| view.label.clone())).ok_or_else(|| {
        Error::InvalidArgument(
            format!("{source} has no label of its own"),
            Some("Name the column to be predicted: label => '…'.".into()),
        )
    })
}

/// Refuses a name that no model can have.
pub fn check_name(model: &str) -> Result<(), Error> {
    if model.is_empty() || model.len() > 63 {
        return Err(Error::invalid(format!("a model's name has 1 to 63 bytes, not {}", model.len())));
    }
    Ok(())
}

/// The algorithms that a name stands for.
fn algorithms(name: &str) -> Result<Vec<Algorithm>, Error> {
    if name == AUTO {
        return Ok(Algorithm::ALL.to_vec());
    }
    let trained = Algorithm::from_name(name).filter(|algorithm| Algorithm::TRAINED.contains(algorithm));
    trained.map(|algorithm| vec![algorithm]).ok_or_else(|| {
        let names: Vec<&str> = Algorithm::TRAINED.iter().map(|algorithm| algorithm.name()).collect();
        Error::InvalidArgument(
            format!("unknown algorithm \"{name}\""),
            Some(format!("The algorithms are: {}, {AUTO}.", names.join(", "))),
        )
    })
}

/// The role of a column in this training; `None` if it has none.
fn role(
    name: &String,
    label: &str,
    keys: &[String],
    time_column: Option<&str>,
    params: &Params,
    view_inputs: &ViewInputs,
) -> Result<Option<Role>, Error> {
    let is_key = keys.contains(name);
    let is_time = time_column == Some(name);
    if name == label {
        if is_key || is_time || params.include.contains(name) {
            return Err(Error::invalid(format!(
                "column \"{name}\" is the label and cannot be anything else"
            )));
        }
        return Ok(Some(Role::Label));
    }
    let included = params.include.contains(name) || view_inputs.includes(name);
    Ok(match (is_key, is_time, included) {
        (true, _, false) => Some(Role::Key),
        (true, _, true) => Some(Role::KeyAndFeature),
        (_, true, false) => Some(Role::Time),
        (_, true, true) => Some(Role::TimeAndFeature),
        _ if params.exclude.contains(name) || view_inputs.leaves_out(name) => None,
        _ => Some(Role::Feature),
    })
}

/// Refuses a direction of what is no number among the inputs, and two directions of one column.
fn check_directions<'a>(
    params: &Params,
    columns: impl Iterator<Item = &'a SourceColumn> + Clone,
) -> Result<(), Error> {
    for name in params.increasing.iter().chain(&params.decreasing) {
        let column = columns.clone().find(|column| column.name == *name);
        if !column.is_some_and(|column| column.role.is_feature() && column.family != Family::Text) {
            return Err(Error::InvalidArgument(
                format!("column \"{name}\" has no direction: it is no number among the inputs"),
                Some(
                    "\"increasing\" and \"decreasing\" name inputs that are numbers, dates or booleans."
                        .into(),
                ),
            ));
        }
        if params.increasing.contains(name) && params.decreasing.contains(name) {
            return Err(Error::invalid(format!(
                "column \"{name}\" cannot be both increasing and decreasing"
            )));
        }
    }
    Ok(())
}

/// Sorts the columns so that the keys come first and in their order: the trainer takes the first key column for the
/// product.
fn in_key_order<T>(columns: &mut [(SourceColumn, T)], keys: &[String]) {
    let rank = |column: &SourceColumn| keys.iter().position(|key| *key == column.name).unwrap_or(keys.len());
    columns.sort_by_key(|(column, _)| rank(column));
}

/// A column of the source in its role, and the reader for it.
fn in_role(column: &Column, role: Role) -> Result<(SourceColumn, Reader), Error> {
    let sql_type = column.type_name();
    let Some((family, reader)) = values::reader_of(column.type_oid).filter(|(family, _)| match role {
        Role::Label => matches!(family, Family::Boolean | Family::Number),
        role if role.is_time() => matches!(family, Family::Date | Family::Timestamp),
        role if role.is_key() => *family != Family::NumberArray,
        _ => true,
    }) else {
        return Err(unsupported(&column.name, sql_type, role));
    };
    Ok((SourceColumn { name: column.name.clone(), sql_type, family, role }, reader))
}

/// The error that says which types a column of this role can have, and which argument names another column.
fn unsupported(column: &str, found: String, role: Role) -> Error {
    let hint = match role {
            Role::Label => "A label is a boolean or a number: name another with label => '…', or cast it in a view.".into(),
            role if role.is_time() => {
                "The time column is a date or a timestamp: name another with time_column => '…', or cast it in a view."
                    .into()
            }
            role if role.is_key() => {
                "A key is a number, a text, a boolean or a date, no array: name others with keys => '{…}', or train from a \
                 view that casts it to text."
                    .into()
            }
            _ => {
                let name = serde_json::Value::from(column);
                format!("Leave it out: params => '{{\"exclude\": [{name}]}}'.")
            }
        };
    Error::UnsupportedType { column: column.to_owned(), found, hint }
}

/// The relation that a model is trained on.
struct TrainingSource {
    relation: Relation,
    definition: Option<String>,
}

impl TrainingSource {
    fn open(relation: pg_sys::Oid) -> Result<Self, Error> {
        let opened = Opened::of(relation)?;
        let found = Relation::of(relation)?;
        let definition = match opened.class().relkind as u8 {
            b'r' | b'p' | b'f' => None,
            b'v' | b'm' => view_definition(relation)?,
            _ => return Err(Error::invalid(format!("{} is not a table or a view", found.name))),
        };
        Ok(Self { relation: found, definition })
    }

    fn check_names(&self, names: &[String], what: &str) -> Result<(), Error> {
        names.iter().try_for_each(|name| self.relation.require(name, what).map(drop))
    }
}

fn view_definition(relation: pg_sys::Oid) -> Result<Option<String>, Error> {
    Spi::connect(|client| {
        let rows = client.select("SELECT pg_catalog.pg_get_viewdef($1)", Some(1), &[relation.into()])?;
        Ok(rows.first().get_one::<String>()?)
    })
}
