-- The case tables of the exchange database. Names as counterparts have them (docs/formats/casebase.md); created only
-- when the settings say `create_tables = true`.
CREATE TABLE IF NOT EXISTS up_pro_accept (
    row_guid          varchar(128) PRIMARY KEY,
    project_no        varchar(64) NOT NULL,
    task_code         varchar(64) NOT NULL,
    task_name         varchar(512) NOT NULL,
    task_version      integer NOT NULL,
    dept_code         varchar(32) NOT NULL,
    dept_name         varchar(256) NOT NULL,
    applicant_name    mediumtext NOT NULL,
    applicant_code    mediumtext NOT NULL,
    applicant_type    varchar(16) NOT NULL,
    apply_window      varchar(256) NOT NULL,
    apply_time        datetime NOT NULL,
    promise_date      varchar(32) NOT NULL,
    package_digest    varchar(64) NOT NULL,
    package           longblob NOT NULL,
    cd_batch          varchar(32) NOT NULL,
    cd_operation      varchar(2) NOT NULL,
    cd_time           datetime NOT NULL,
    data_source       varchar(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS up_pro_material (
    row_guid              varchar(128) PRIMARY KEY,
    project_no            varchar(64) NOT NULL,
    material_code         varchar(64) NOT NULL,
    material_name         varchar(512) NOT NULL,
    material_attach_name  varchar(512) NOT NULL,
    material_digest       varchar(64) NOT NULL,
    certificate_source_id varchar(128) NOT NULL,
    get_type              varchar(16) NOT NULL,
    get_num               integer NOT NULL,
    cd_batch              varchar(32) NOT NULL,
    cd_operation          varchar(2) NOT NULL,
    cd_time               datetime NOT NULL,
    data_source           varchar(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS up_pro_process (
    row_guid     varchar(128) PRIMARY KEY,
    project_no   varchar(64) NOT NULL,
    process_name varchar(64) NOT NULL,
    process_by   varchar(64) NOT NULL,
    process_time datetime NOT NULL,
    remark       mediumtext NOT NULL,
    cd_batch     varchar(32) NOT NULL,
    cd_operation varchar(2) NOT NULL,
    cd_time      datetime NOT NULL,
    data_source  varchar(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS up_pro_result (
    row_guid              varchar(128) PRIMARY KEY,
    project_no            varchar(64) NOT NULL,
    result_type           varchar(16) NOT NULL,
    result_time           datetime NOT NULL,
    certificate_source_id varchar(128) NOT NULL,
    remark                mediumtext NOT NULL,
    cd_batch              varchar(32) NOT NULL,
    cd_operation          varchar(2) NOT NULL,
    cd_time               datetime NOT NULL,
    data_source           varchar(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS dn_pro_step (
    row_guid              varchar(96) PRIMARY KEY,
    project_no            varchar(64) NOT NULL,
    step                  varchar(32) NOT NULL,
    remark                mediumtext,
    items                 mediumtext,
    certificate_source_id varchar(128),
    step_time             datetime(6),
    taken                 datetime,
    taken_code            varchar(64),
    taken_remark          mediumtext,
    KEY dn_pro_step_open (taken, step_time)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS dn_pro_error (
    row_guid     varchar(128) PRIMARY KEY,
    project_no   varchar(64),
    error_remark mediumtext,
    error_time   datetime(6),
    taken        datetime
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
