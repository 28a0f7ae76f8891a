# Fits the single-season occupancy model (MacKenzie et al. 2002) to a detection history:
#   Rscript fit.R y_SPECIES.csv
# NA, where nobody listened, says nothing. Seconds of effort are a covariate of detection.
arguments <- commandArgs(trailingOnly = TRUE)
file <- if (length(arguments)) arguments[1] else list.files(pattern = "^y_.*[.]csv$")[1]
y <- as.matrix(read.csv(file, row.names = 1, check.names = FALSE))
effort <- as.matrix(read.csv("effort_s.csv", row.names = 1, check.names = FALSE))
stopifnot(identical(dim(y), dim(effort)), all(is.na(y) == (effort == 0)))
hours <- effort / 3600

if (requireNamespace("unmarked", quietly = TRUE)) {
  frame <- unmarked::unmarkedFrameOccu(y = y, obsCovs = list(hours = hours))
  fit <- unmarked::occu(~1 ~ 1, frame)
  found <- unmarked::coef(fit)
  cat(sprintf("unmarked: occupancy %.4f, detection on a day %.4f\n",
              plogis(found[[1]]), plogis(found[[2]])))
}

# The same likelihood without the package: a station without a detection is either not occupied, or
# occupied and missed on each of its days.
days <- rowSums(!is.na(y))
hits <- rowSums(y, na.rm = TRUE)
minus_log_likelihood <- function(at) {
  psi <- plogis(at[1])
  p <- plogis(at[2])
  seen <- psi * p^hits * (1 - p)^(days - hits)
  -sum(log(ifelse(hits > 0, seen, seen + 1 - psi)))
}
best <- optim(c(0, 0), minus_log_likelihood, method = "BFGS", control = list(reltol = 1e-12))
cat(sprintf("base R: occupancy %.4f, detection on a day %.4f\n",
            plogis(best$par[1]), plogis(best$par[2])))
